// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/device/runtime.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

namespace trireme::device {

/// The memory of emulated devices: each allocation a memfd of its own, so that other processes can map it, with a page behind
/// it that nobody may touch.
/// Threads: any.
class MemoryMap {
 public:
  explicit MemoryMap(int devices, std::size_t bytes_per_device)
      : limit_(bytes_per_device), used_(static_cast<std::size_t>(devices)) {}
  ~MemoryMap();
  MemoryMap(const MemoryMap&) = delete;
  MemoryMap& operator=(const MemoryMap&) = delete;

  /// Filled with a pattern that is no number. Errors: device when the device's memory is used up.
  void* allocate(int device, std::size_t bytes);
  void free(void* memory) noexcept;
  std::optional<int> device_of(const void* memory) const;
  SharedAllocation share(void* memory) const;
  void* import(int device, const SharedAllocation& allocation);

 private:
  struct Allocation {
    int device = 0;
    std::size_t bytes = 0;
    std::size_t mapped = 0;
    int descriptor = -1;  ///< -1: imported
  };
  void* map(int descriptor, std::size_t bytes, std::size_t mapped);
  void release(std::uintptr_t begin, const Allocation& allocation) noexcept;
  const std::size_t limit_;
  mutable std::mutex mutex_;
  std::vector<std::size_t> used_;
  std::map<std::uintptr_t, Allocation> allocations_;
};

}  // namespace trireme::device
