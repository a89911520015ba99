// SPDX-License-Identifier: Apache-2.0
#include "cli/train/device.hpp"

#include "cli/train/model.hpp"
#include "trireme/base/error.hpp"
#include "trireme/device/cuda.hpp"
#include "trireme/device/emulated.hpp"
#include "trireme/models/device_mlp.hpp"

#include <cstdlib>
#include <string>

namespace trireme::cli {

void prepare_device(const TrainOptions& options) {
  if (options.device != ComputeDevice::cuda) return;
  ::setenv("CUDA_MODULE_LOADING", "EAGER", 0);
  ::setenv("CUDA_DEVICE_MAX_CONNECTIONS", "32", 0);
}

void check_device(const TrainOptions& options, const platform::Environment& environment) {
  const std::string named = environment.find("TRIREME_DEVICE").value_or("");
  if (!options.device_given && !named.empty() && named != "cpu") {
    fail(ErrorCode::invalid_argument,
         "TRIREME_DEVICE is '" + named + "', but trireme train computes on the host unless --device says otherwise");
  }
  if (options.device != ComputeDevice::cuda) return;
  if (const std::string why = device::why_no_cuda(); !why.empty())
    fail(ErrorCode::unsupported, "--device cuda: " + why);
}

Options world_options(const TrainOptions& options, const platform::Environment& environment) {
  Options world;
  const bool chosen = environment.find("TRIREME_DEVICE").value_or("").starts_with("cuda");  // which of them
  if (options.device != ComputeDevice::cuda || !chosen)
    world.device = options.device == ComputeDevice::cpu ? "cpu" : "cuda";
  if (options.device == ComputeDevice::emulated) world.device_runtime = device::emulated_runtime();
  return world;
}

std::string describe_device(const World& world) {
  if (!world.device()) return {};
  const int index = world.device()->index;
  return "cuda:" + std::to_string(index) + " (" + world.device_runtime()->properties(index).name + ")";
}

std::unique_ptr<models::Classifier> make_device_classifier(const TrainOptions& options,
                                                           const data::LabelledImages& images, std::size_t rows,
                                                           const TaskDevice& device) {
  if (options.model != "mlp")
    fail(ErrorCode::invalid_argument,
         std::string("--device ") + name_of(options.device) + " trains mlp in this version, not " + options.model);
  return std::make_unique<models::DeviceMlp>(
      mlp_options(options, images, rows), models::DeviceMlpPlace{.runtime = device.runtime, .stream = device.stream});
}

}  // namespace trireme::cli
