// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/device/cuda.hpp"
#include "trireme/device/emulated.hpp"
#include "trireme/device/owned.hpp"

#include <cstring>
#include <memory>
#include <span>
#include <vector>

namespace trireme::testing {

/// The devices that a test runs on: emulated ones that keep no order but what is asked for, and the machine's GPUs if it has
/// any.
inline std::vector<std::shared_ptr<device::Runtime>> runtimes_under_test(int devices = 1) {
  std::vector<std::shared_ptr<device::Runtime>> runtimes;
  runtimes.push_back(device::emulated_runtime({.devices = devices, .seed = 7}));
  runtimes.push_back(
      device::emulated_runtime({.devices = devices, .seed = 1234, .delay = std::chrono::microseconds(50)}));
  if (device::why_no_cuda().empty() && device::cuda_runtime()->devices() >= devices)
    runtimes.push_back(device::cuda_runtime());
  return runtimes;
}

/// A copy of `elements` in device memory.
template <class T>
device::Buffer on_device(const std::shared_ptr<device::Runtime>& runtime, std::span<const T> elements, int device = 0) {
  device::Buffer buffer(runtime, device, elements.size_bytes());
  const device::OwnedStream stream(runtime, device);
  runtime->copy(buffer.data(), elements.data(), elements.size_bytes(), stream.get());
  stream.synchronize();
  return buffer;
}

/// `count` elements of device memory at `memory`, once all that `stream` was given has run.
template <class T>
std::vector<T> to_host(device::Runtime& runtime, const void* memory, std::size_t count, Stream stream) {
  std::vector<T> elements(count);
  runtime.copy(elements.data(), memory, count * sizeof(T), stream);
  runtime.synchronize(stream);
  return elements;
}

}  // namespace trireme::testing
