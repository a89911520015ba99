// SPDX-License-Identifier: Apache-2.0
#include "engines/nccl/registered_memory.hpp"

#include "trireme/base/error.hpp"

#include <string>

namespace trireme::engines::nccl {

RegisteredMemory::RegisteredMemory(std::shared_ptr<Library> library, std::shared_ptr<device::Runtime> runtime,
                                   int device, std::size_t bytes)
    : library_(std::move(library)),
      runtime_(std::move(runtime)),
      device_(device),
      bytes_((bytes + api::window_alignment - 1) / api::window_alignment * api::window_alignment),
      of_nccl_(library_->calls().mem_alloc != nullptr && library_->calls().mem_free != nullptr) {
  if (!of_nccl_) {
    data_ = runtime_->allocate(device_, bytes_);
    return;
  }
  runtime_->make_current(device_);
  const api::Result result = library_->calls().mem_alloc(&data_, bytes_);
  if (result != api::success) {
    fail(ErrorCode::device, library_->words_of(result, "ncclMemAlloc", nullptr) + ", " + std::to_string(bytes_) +
                                " bytes on device " + std::to_string(device_) + ", " + library_->words());
  }
}

RegisteredMemory::~RegisteredMemory() {
  if (!of_nccl_) {
    runtime_->free(device_, data_);
    return;
  }
  try {
    runtime_->make_current(device_);
  } catch (const Exception&) {  // NCCL will say so
  }
  library_->calls().mem_free(data_);
}

api::Result Registration::begin(const api::Calls& calls, api::Comm comm) {
  const bool windows = calls.comm_window_register != nullptr && calls.comm_window_deregister != nullptr;
  if (windows && memory->is_of_nccl()) {
    how = How::symmetric;
    return calls.comm_window_register(comm, memory->data(), memory->size_bytes(), &window, api::window_symmetric);
  }
  how = How::local;
  return calls.comm_register(comm, memory->data(), memory->size_bytes(), &handle);
}

}  // namespace trireme::engines::nccl
