// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engines/nccl/library.hpp"
#include "trireme/comm/device_engine.hpp"
#include "trireme/device/runtime.hpp"

#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

namespace trireme::engines::nccl {

/// Device memory by NCCL's allocator, which makes it fit for registration, where this version has one; else the runtime's.
class RegisteredMemory final : public comm::DeviceBlock {
 public:
  /// Errors: device.
  RegisteredMemory(std::shared_ptr<Library> library, std::shared_ptr<device::Runtime> runtime, int device,
                   std::size_t bytes);
  ~RegisteredMemory() override;
  RegisteredMemory(const RegisteredMemory&) = delete;
  RegisteredMemory& operator=(const RegisteredMemory&) = delete;

  std::byte* data() const override { return static_cast<std::byte*>(data_); }
  std::string_view known_as() const override { return known_as_; }
  void set_known_as(std::string_view how) { known_as_ = how; }
  /// Whole pages of windows.
  std::size_t size_bytes() const { return bytes_; }
  /// By NCCL.
  bool is_of_nccl() const { return of_nccl_; }

 private:
  std::shared_ptr<Library> library_;
  std::shared_ptr<device::Runtime> runtime_;
  int device_;
  std::size_t bytes_;
  bool of_nccl_;
  void* data_ = nullptr;
  std::string_view known_as_ = "plain";
};

/// What a communicator knows of a memory, which lives as long as that.
struct Registration {
  enum class How { none, symmetric, local };
  std::shared_ptr<RegisteredMemory> memory;
  How how = How::none;
  api::Window window = nullptr;
  void* handle = nullptr;

  /// Asks NCCL for it: as symmetric among the ranks where it can, else for this rank alone, else not at all. NCCL writes
  /// here until the communicator has settled.  Cost: collective where symmetric.
  api::Result begin(const api::Calls& calls, api::Comm comm);
  /// NCCL has settled.
  void conclude() {
    if (how == How::symmetric && window == nullptr) how = How::none;  // this machine cannot, which is no failure
    memory->set_known_as(how == How::symmetric ? "symmetric" : how == How::local ? "registered" : "plain");
  }
  void end(const api::Calls& calls, api::Comm comm) const noexcept {
    if (how == How::symmetric && window != nullptr) calls.comm_window_deregister(comm, window);
    if (how == How::local) calls.comm_deregister(comm, handle);
  }
  const char* call() const { return how == How::symmetric ? "ncclCommWindowRegister" : "ncclCommRegister"; }
};

/// Where NCCL writes they stay.
using Registrations = std::vector<std::unique_ptr<Registration>>;

/// Whether `calls` can make memory known at all: the same on all ranks, whose versions are equal.
inline bool can_register(const api::Calls& calls) {
  return calls.comm_register != nullptr && calls.comm_deregister != nullptr;
}

}  // namespace trireme::engines::nccl
