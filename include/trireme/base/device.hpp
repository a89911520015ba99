// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace trireme {

enum class DeviceKind : unsigned char { cpu, cuda };

/// Where memory lives and work runs.
struct Device {
  DeviceKind kind = DeviceKind::cpu;
  int index = 0;
  friend constexpr bool operator==(Device, Device) = default;
};

/// An execution queue of a device, opaque here: for CUDA the pointer is a cudaStream_t. Host memory has none.
struct Stream {
  Device device;
  void* pointer = nullptr;
};

}  // namespace trireme
