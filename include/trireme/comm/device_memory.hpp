// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/tensor_view.hpp"

#include <cstddef>
#include <memory>
#include <string_view>

namespace trireme {

namespace comm {
class DeviceBlock;
class Group;
}  // namespace comm

/// Device memory for a communicator's operations, owned: uninitialised, aligned to 256 bytes at least, freed when destroyed. Move
/// only. May outlive communicator and World: then it keeps of them what it was registered with. What was given it on a stream
/// must have run when it is destroyed, as with any device memory.
/// Threads: one at a time.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  DeviceMemory(DeviceMemory&& other) noexcept { swap(other); }
  DeviceMemory& operator=(DeviceMemory&& other) noexcept {
    swap(other);
    return *this;
  }
  ~DeviceMemory() { unregister(); }

  std::byte* data() const;
  std::size_t size_bytes() const { return bytes_; }
  Device device() const { return device_; }
  /// `count` elements from byte `offset` on.
  TensorView view(DType dtype, std::size_t count, std::size_t offset = 0) const {
    return {data() + offset, count, dtype, device_};
  }
  /// How the engine of the communicator it is registered with knows it: "symmetric" among the ranks, "registered" by this one, or
  /// "plain": as any other.
  std::string_view known_as() const;
  /// Memory as any other again.
  void unregister() noexcept;

 private:
  friend class Communicator;
  void swap(DeviceMemory& other) noexcept;
  std::shared_ptr<comm::Group> known_by_;  ///< before block_: outlives it
  std::shared_ptr<comm::DeviceBlock> block_;
  std::size_t bytes_ = 0;
  Device device_{};
};

}  // namespace trireme
