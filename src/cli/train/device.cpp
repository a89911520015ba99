// SPDX-License-Identifier: Apache-2.0
#include "cli/train/device.hpp"

#include "cli/train/model.hpp"
#include "trireme/base/error.hpp"
#include "trireme/device/cuda.hpp"
#include "trireme/device/emulated.hpp"
#include "trireme/models/device_mlp.hpp"

#include <string>

namespace trireme::cli {

void check_device(const TrainOptions& options) {
  if (options.device != ComputeDevice::cuda) return;
  if (const std::string why = device::why_no_cuda(); !why.empty())
    fail(ErrorCode::unsupported, "--device cuda: " + why);
}

Options world_options(const TrainOptions& options) {
  Options world;
  world.device = options.device == ComputeDevice::cpu ? "cpu" : "cuda";
  if (options.device == ComputeDevice::emulated) world.device_runtime = device::emulated_runtime();
  return world;
}

std::unique_ptr<models::Classifier> make_device_classifier(const TrainOptions& options,
                                                           const data::LabelledImages& images, std::size_t rows,
                                                           const TaskDevice& device) {
  if (options.model != "mlp")
    fail(ErrorCode::invalid_argument, "--device cuda trains mlp in this version, not " + options.model);
  return std::make_unique<models::DeviceMlp>(
      mlp_options(options, images, rows), models::DeviceMlpPlace{.runtime = device.runtime, .stream = device.stream});
}

}  // namespace trireme::cli
