// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/background_job.hpp"

#include <csignal>
#include <exception>
#include <system_error>
#include <utility>

namespace trireme::checkpoint {

BackgroundJob::~BackgroundJob() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void BackgroundJob::start(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    if (busy_) fail(ErrorCode::invalid_argument, "a save begins while another is under way");
    work_ = std::move(work);
    error_.reset();
    busy_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) return;
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  int reason = 0;
  try {
    thread_ = std::thread([this] { serve(); });
  } catch (const std::system_error& error) {
    reason = error.code().value();
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (reason == 0) return;
  const std::lock_guard lock(mutex_);
  busy_ = false;
  work_ = nullptr;
  fail_system("a thread to write checkpoints", reason);
}

bool BackgroundJob::is_over() const {
  const std::lock_guard lock(mutex_);
  return !busy_;
}

bool BackgroundJob::wait(std::chrono::milliseconds most) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, most, [this] { return !busy_; });
}

std::optional<Error> BackgroundJob::take_error() {
  const std::lock_guard lock(mutex_);
  return std::exchange(error_, std::nullopt);
}

void BackgroundJob::serve() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stop_ || work_ != nullptr; });
    if (work_ == nullptr) return;
    const std::function<void()> work = std::exchange(work_, nullptr);
    lock.unlock();
    std::optional<Error> error;
    try {
      work();
    } catch (const Exception& failure) {
      error = failure.error();
    } catch (const std::exception& failure) {
      error = Error{.code = ErrorCode::system, .message = failure.what()};
    }
    lock.lock();
    error_ = std::move(error);
    busy_ = false;
    changed_.notify_all();
  }
}

}  // namespace trireme::checkpoint
