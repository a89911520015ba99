// SPDX-License-Identifier: Apache-2.0
#include "cli/compute_device.hpp"

#include "trireme/base/error.hpp"
#include "trireme/device/cuda.hpp"
#include "trireme/device/emulated.hpp"

#include <cstdlib>

namespace trireme::cli {

void prepare_device(ComputeDevice device) {
  if (device != ComputeDevice::cuda) return;
  ::setenv("CUDA_MODULE_LOADING", "EAGER", 0);
  ::setenv("CUDA_DEVICE_MAX_CONNECTIONS", "32", 0);
}

void require_device(ComputeDevice device, bool given, const platform::Environment& environment,
                    std::string_view otherwise) {
  const std::string named = environment.find("TRIREME_DEVICE").value_or("");
  if (!given && !named.empty() && named != "cpu") {
    fail(ErrorCode::invalid_argument,
         "TRIREME_DEVICE is '" + named + "', but " + std::string(otherwise) + " unless --device says otherwise");
  }
  if (device != ComputeDevice::cuda) return;
  if (const std::string why = device::why_no_cuda(); !why.empty())
    fail(ErrorCode::unsupported, "--device cuda: " + why);
}

void choose_device(Options& world, ComputeDevice device, const platform::Environment& environment) {
  const bool chosen = environment.find("TRIREME_DEVICE").value_or("").starts_with("cuda");  // which of them
  if (device != ComputeDevice::cuda || !chosen) world.device = device == ComputeDevice::cpu ? "cpu" : "cuda";
  if (device == ComputeDevice::emulated) world.device_runtime = device::emulated_runtime();
}

std::string describe_device(const World& world) {
  if (!world.device()) return {};
  const int index = world.device()->index;
  return "cuda:" + std::to_string(index) + " (" + world.device_runtime()->properties(index).name + ")";
}

}  // namespace trireme::cli
