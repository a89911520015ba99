// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engines/nccl/library.hpp"
#include "trireme/comm/engine.hpp"
#include "trireme/device/owned.hpp"

#include <cstddef>
#include <memory>

namespace trireme::engines::nccl {

class Engine;

/// Device memory that NCCL knows beforehand, so that operations on it need no copies through NCCL's own: by NCCL's
/// allocator, registered as symmetric among the ranks where the library can, else for this rank alone, else plain.
/// Move only; ends before its engine.
class RegisteredBuffer {
 public:
  enum class How { symmetric, registered, plain };
  RegisteredBuffer() = default;
  /// Collective among the engine's members, all with the same size; nothing may be under way.
  /// Errors: device; unsupported for an engine that is not NCCL's.
  RegisteredBuffer(comm::Engine& engine, std::shared_ptr<device::Runtime> runtime, int device, std::size_t bytes);
  RegisteredBuffer(RegisteredBuffer&& other) noexcept { swap(other); }
  RegisteredBuffer& operator=(RegisteredBuffer&& other) noexcept {
    swap(other);
    return *this;
  }
  ~RegisteredBuffer();

  std::byte* data() const { return static_cast<std::byte*>(data_); }
  std::size_t size_bytes() const { return bytes_; }
  How how() const { return how_; }

 private:
  void swap(RegisteredBuffer& other) noexcept;
  void free() noexcept;
  Engine* engine_ = nullptr;
  std::shared_ptr<Library> library_;
  std::shared_ptr<device::Runtime> runtime_;
  int device_ = 0;
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
  How how_ = How::plain;
  bool of_nccl_ = false;  ///< allocated by it
  void* handle_ = nullptr;
};

}  // namespace trireme::engines::nccl
