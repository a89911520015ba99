// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engines/device/engine.hpp"
#include "support/device_under_test.hpp"
#include "trireme/base/tensor_view.hpp"
#include "trireme/world/run_ranks.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

namespace trireme::testing {

/// One rank of a world with devices: its memory there and a stream.
class DeviceRank {
 public:
  explicit DeviceRank(const World& world)
      : runtime(world.device_runtime()), index(world.device()->index), stream(runtime, index) {}

  /// Device memory with the bytes of `elements`.
  device::Buffer put(const std::vector<std::byte>& bytes) const {
    device::Buffer buffer(runtime, index, bytes.size());
    const device::OwnedStream own(runtime, index);
    runtime->copy(buffer.data(), bytes.data(), bytes.size(), own.get());
    own.synchronize();
    return buffer;
  }
  std::vector<std::byte> get(const device::Buffer& buffer) const {
    std::vector<std::byte> bytes(buffer.size_bytes());
    const device::OwnedStream own(runtime, index);
    runtime->copy(bytes.data(), buffer.data(), bytes.size(), own.get());
    own.synchronize();
    return bytes;
  }

  std::shared_ptr<device::Runtime> runtime;
  int index;
  device::OwnedStream stream;
};

/// Values of no special kind in every type: below 2 in magnitude where they float, 0 or 1 where they are bool.
inline std::vector<std::byte> plain_values(std::size_t count, DType dtype, int seed) {
  const std::size_t size = size_of(dtype);
  std::vector<std::byte> bytes(count * size);
  std::uint32_t state = static_cast<std::uint32_t>(seed) * 7919u + 12345u;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    state = state * 1664525u + 1013904223u;
    auto value = static_cast<unsigned char>(state >> 24);
    if (i % size == size - 1) value &= 0xbf;
    if (dtype == DType::boolean) value &= 1;
    bytes[i] = static_cast<std::byte>(value);
  }
  return bytes;
}

/// Through host memory, unless `peer`: then by kernels where they can.
inline RunRanksOptions on_devices(std::shared_ptr<device::Runtime> runtime, std::string transport = "mem",
                                  bool peer = false) {
  RunRanksOptions options;
  options.transport = std::move(transport);
  options.devices.runtime = std::move(runtime);
  options.devices.make_engine = engines::device::factory({.peer = peer});
  return options;
}

}  // namespace trireme::testing
