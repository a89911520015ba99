// SPDX-License-Identifier: Apache-2.0
#include "engines/nccl/registered_buffer.hpp"

#include "engines/nccl/engine.hpp"
#include "trireme/base/error.hpp"

#include <chrono>
#include <thread>
#include <utility>

namespace trireme::engines::nccl {
namespace {

void settle(Clique& clique) {
  const Deadline until = Deadline::after(std::chrono::seconds(60));
  while (!clique.settled()) {
    if (until.passed()) fail(ErrorCode::timeout, "NCCL did not register memory in 60 s: not all ranks came");
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
}

}  // namespace

RegisteredBuffer::RegisteredBuffer(comm::Engine& engine, std::shared_ptr<device::Runtime> runtime, int device,
                                   std::size_t bytes)
    : runtime_(std::move(runtime)), device_(device) {
  engine_ = dynamic_cast<Engine*>(&engine);
  if (engine_ == nullptr) {
    fail(ErrorCode::unsupported,
         "memory is registered with NCCL's engine, not with '" + engine.capabilities().name + "'");
  }
  library_ = engine_->library();
  Clique& clique = engine_->clique();
  const api::Calls& calls = clique.calls();
  bytes_ = (bytes + api::window_alignment - 1) / api::window_alignment * api::window_alignment;
  clique.make_current();
  of_nccl_ = calls.mem_alloc != nullptr && calls.mem_free != nullptr;
  if (of_nccl_) {
    clique.check(calls.mem_alloc(&data_, bytes_), "ncclMemAlloc");
  } else {
    data_ = runtime_->allocate(device_, bytes_);
  }
  try {
    if (of_nccl_ && calls.comm_window_register != nullptr && calls.comm_window_deregister != nullptr) {
      api::Window window = nullptr;
      clique.check(calls.comm_window_register(clique.get(), data_, bytes_, &window, api::window_symmetric),
                   "ncclCommWindowRegister");
      settle(clique);
      handle_ = window;
      how_ = window != nullptr ? How::symmetric : How::plain;  // no window: this machine cannot, which is no failure
    } else if (calls.comm_register != nullptr && calls.comm_deregister != nullptr) {
      clique.check(calls.comm_register(clique.get(), data_, bytes_, &handle_), "ncclCommRegister");
      settle(clique);
      how_ = How::registered;
    }
  } catch (...) {
    how_ = How::plain;
    free();
    throw;
  }
}

RegisteredBuffer::~RegisteredBuffer() { free(); }

void RegisteredBuffer::free() noexcept {
  if (data_ == nullptr) return;
  const api::Calls& calls = library_->calls();
  if (const api::Comm comm = how_ == How::plain ? nullptr : engine_->clique().get(); comm != nullptr) {
    if (how_ == How::symmetric) {
      calls.comm_window_deregister(comm, static_cast<api::Window>(handle_));
    } else {
      calls.comm_deregister(comm, handle_);
    }
  }
  if (of_nccl_) {
    calls.mem_free(data_);
  } else {
    runtime_->free(device_, data_);
  }
  data_ = nullptr;
}

void RegisteredBuffer::swap(RegisteredBuffer& other) noexcept {
  std::swap(engine_, other.engine_);
  std::swap(library_, other.library_);
  std::swap(runtime_, other.runtime_);
  std::swap(device_, other.device_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(how_, other.how_);
  std::swap(of_nccl_, other.of_nccl_);
  std::swap(handle_, other.handle_);
}

}  // namespace trireme::engines::nccl
