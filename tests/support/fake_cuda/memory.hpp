// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/fake_cuda/ptx/machine.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

namespace trireme::testing {

/// The memory of fake devices. An address of device memory is one that the host can neither read nor write: its bytes lie elsewhere, and
/// only kernels and copies find them; it is aligned to 256 bytes and no more. Fresh memory is filled with 0xff, NaN in every floating type.
/// Threads: any.
class FakeMemory {
 public:
  static constexpr int host = -1, none = -2;
  struct Allocation {
    int device;  ///< or host: pinned
    std::size_t bytes;
    std::int64_t shift = 0;   ///< from an address to its bytes
    int descriptor = -1;      ///< of memory that this process allocated
    bool registered = false;  ///< pinned, and the caller's
    int opener = none;        ///< the device for which it was imported
  };
  struct Found {
    std::uintptr_t begin;
    Allocation allocation;
  };
  /// What another process maps an allocation by.
  struct Handle {
    int process, descriptor, device;
    std::size_t bytes;
  };

  FakeMemory(int devices, std::size_t bytes_each);

  /// Null where the device has no room.
  void* allocate(int device, std::size_t bytes);
  void* allocate_pinned(std::size_t bytes);
  bool pin(void* memory, std::size_t bytes);  ///< false where some of it is already
  enum class Kind { allocated, pinned, registered, imported };
  /// False where no such memory begins there.
  bool free(void* memory, Kind kind);
  std::optional<Found> find(const void* address) const;
  /// Where the bytes lie, for the host; null where it is device or pinned memory and no allocation holds all of them.
  std::byte* bytes_of(const void* address, std::size_t bytes) const;
  std::optional<Handle> share(const void* memory) const;
  void* import(int device, const Handle& handle);
  /// What kernels of `device` reach, ascending: pinned memory and that of `devices`, by bits.
  std::vector<ptx::Range> reachable(int device, std::uint64_t devices) const;
  std::size_t free_bytes(int device) const;
  std::size_t bytes_each() const { return bytes_each_; }

 private:
  static Kind kind_of(const Allocation& allocation);
  std::uintptr_t place(std::size_t bytes);
  void* map(int descriptor, std::size_t bytes);

  const std::size_t bytes_each_;
  std::uintptr_t forbidden_;  ///< where device addresses begin
  std::int64_t shift_;        ///< from there to the bytes
  mutable std::mutex mutex_;
  std::size_t next_ = 0;
  std::vector<std::size_t> used_;
  std::map<std::uintptr_t, Allocation> allocations_;
};

}  // namespace trireme::testing
