// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/device/cuda.hpp"
#include "trireme/device/emulated.hpp"
#include "trireme/device/owned.hpp"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::testing {

/// Ranks that are threads on one GPU have more streams than CUDA has queues for by default, and kernels that wait must not stand
/// before those they wait for; nor may a kernel be loaded while they wait. Before main(): CUDA reads these once.
inline const bool gpus_prepared = [] {
  ::setenv("CUDA_DEVICE_MAX_CONNECTIONS", "32", 0);
  ::setenv("CUDA_MODULE_LOADING", "EAGER", 0);
  return true;
}();

/// DEVICES_UNDER_TEST=gpu leaves out the emulated ones, as under a checker that looks at GPUs alone. Then there must be some.
inline bool gpus_alone() {
  const char* const wanted = std::getenv("DEVICES_UNDER_TEST");
  if (wanted == nullptr || std::string_view(wanted) != "gpu") return false;
  if (const std::string why = device::why_no_cuda(); !why.empty())
    throw std::runtime_error("DEVICES_UNDER_TEST=gpu, and there is none: " + why);
  return true;
}

/// Those given, which are emulated, and the machine's GPUs if it has enough.
inline std::vector<std::shared_ptr<device::Runtime>> beside_gpus(std::vector<std::shared_ptr<device::Runtime>> emulated,
                                                                 int devices = 1) {
  if (gpus_alone()) emulated.clear();
  if (device::why_no_cuda().empty() && device::cuda_runtime()->devices() >= devices)
    emulated.push_back(device::cuda_runtime());
  return emulated;
}

/// The devices that a test runs on: emulated ones that keep no order but what is asked for, and the machine's GPUs if it has
/// any.
inline std::vector<std::shared_ptr<device::Runtime>> runtimes_under_test(int devices = 1) {
  return beside_gpus(
      {device::emulated_runtime({.devices = devices, .seed = 7}),
       device::emulated_runtime({.devices = devices, .seed = 1234, .delay = std::chrono::microseconds(50)})},
      devices);
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
