// SPDX-License-Identifier: Apache-2.0
// CUDA's runtime works on the calling thread's current device, 0 unless chosen. The first call on a device begins its
// context: some hundred megabytes of its memory, for this process. So a process that works on one of eight devices must not
// touch the others by accident, which is what a careless "choose, call, choose the former again" does to device 0.
#pragma once

#include "trireme/device/runtime.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <mutex>
#include <span>
#include <vector>

namespace trireme::device {

/// Which devices of this process are in use, and the kernels that are loaded on each.
/// Threads: any.
class Contexts {
 public:
  static constexpr std::size_t most = 64;  ///< devices
  explicit Contexts(int devices) : devices_(devices) {}

  int devices() const { return devices_; }
  /// Whether the device has a context, whoever began it. Begins none.
  bool in_use(int device) const;
  /// A device in use, the calling thread's if that is; -1: none is.
  int some() const;
  /// Begins the device's context, the calling thread's current device being it, and loads the kernels told so far.
  void begin(int device);
  bool begun(int device) const { return begun_[index(device)].load(std::memory_order_acquire); }
  /// Loads kernels on every device begun, now, and on others when they are.
  void load(std::span<const KernelEntry* const> kernels);

 private:
  static std::size_t index(int device) { return static_cast<std::size_t>(device); }
  void load_on(int device, std::span<const KernelEntry* const> kernels);
  const int devices_;
  mutable std::array<std::atomic<bool>, most> used_{};  ///< once it is it stays
  std::array<std::atomic<bool>, most> begun_{};
  std::mutex mutex_;
  std::vector<const KernelEntry*> kernels_;
};

/// While it lives the device is the calling thread's current one. Afterwards the former is, if it is in use; else the device
/// stays: what a thread never chose is not brought to life by giving it back.
class OnDevice {
 public:
  OnDevice(Contexts& contexts, int device);
  ~OnDevice();
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  int former_ = -1;  ///< to be given back; -1: none
};

}  // namespace trireme::device
