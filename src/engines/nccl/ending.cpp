// SPDX-License-Identifier: Apache-2.0
#include "engines/nccl/ending.hpp"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <utility>

namespace trireme::engines::nccl {
namespace {

constexpr std::chrono::seconds longest_farewell{10};
constexpr std::chrono::milliseconds between_questions{1};

}  // namespace

struct Farewell::Task {
  explicit Task(Ending ending_) : ending(std::move(ending_)) {}
  Ending ending;
  std::mutex mutex;
  std::condition_variable changed;
  bool over = false;

  /// All ranks' communicators are at rest, or a rank does not come.
  bool finalize(api::Comm comm) const {
    const api::Calls& calls = ending.nccl->calls();
    api::Result state = calls.comm_finalize(comm);
    const auto until = std::chrono::steady_clock::now() + longest_farewell;
    while (state == api::in_progress) {
      if (std::chrono::steady_clock::now() >= until) return false;
      std::this_thread::sleep_for(between_questions);
      if (calls.comm_get_async_error(comm, &state) != api::success) return false;
    }
    return state == api::success;
  }
  /// A call that does not return may be waiting for what an abort would end.
  void wait_until_left() const {
    const auto until = std::chrono::steady_clock::now() + longest_farewell;
    while (ending.in_use && *ending.in_use && std::chrono::steady_clock::now() < until)
      std::this_thread::sleep_for(between_questions);
  }
  void run() noexcept {
    const api::Calls& calls = ending.nccl->calls();
    try {
      ending.runtime->make_current(ending.device);
    } catch (...) {  // NCCL will say so
    }
    wait_until_left();
    for (const auto& each : ending.registrations) {
      if (ending.orderly) each->end(calls, ending.comms.back()->get());
    }
    for (const SharedHandle& handle : ending.comms) {
      const api::Comm comm = handle->get();
      if (comm == nullptr) continue;  // NCCL refused to make it
      if (ending.orderly && finalize(comm)) {
        calls.comm_destroy(comm);
      } else {
        calls.comm_abort(comm);
      }
    }
    for (const SharedHandle& handle : ending.unborn) {  // written by now, or never
      if (handle->get() != nullptr) calls.comm_abort(handle->get());
    }
    // What stood behind NCCL's work on the streams still runs, and uses memory of others.
    try {
      for (const device::OwnedStream& stream : ending.streams) stream.synchronize();
    } catch (...) {  // the device has failed: nothing runs there any more
    }
    ending.streams.clear();
    ending.buffers.clear();
    ending.spent.clear();
    ending.registrations.clear();
    ending.runtime.reset();
    const std::shared_ptr<Library> library = std::move(ending.nccl);
    const std::lock_guard lock(mutex);
    over = true;
    changed.notify_all();
    --library->ending();
  }
};

Farewell Farewell::begin(Ending ending) noexcept {
  Farewell farewell;
  if (ending.comms.empty() && ending.unborn.empty()) return farewell;
  Library& library = *ending.nccl;
  ++library.ending();
  farewell.never_ = true;
  try {
    auto task = std::make_shared<Task>(std::move(ending));
    try {
      std::thread([task] { task->run(); }).detach();
    } catch (const std::system_error&) {  // no thread to be had: all that is there stays, rather than block
      static_cast<void>(new (std::nothrow) std::shared_ptr<Task>(task));
      return farewell;
    }
    farewell.task_ = std::move(task);
    farewell.never_ = false;
  } catch (const std::bad_alloc&) {  // likewise
  }
  return farewell;
}

bool Farewell::wait(std::chrono::milliseconds patience) const noexcept {
  if (!task_) return !never_;
  std::unique_lock lock(task_->mutex);
  return task_->changed.wait_for(lock, patience, [&] { return task_->over; });
}

}  // namespace trireme::engines::nccl
