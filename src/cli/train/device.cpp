// SPDX-License-Identifier: Apache-2.0
#include "cli/train/device.hpp"

#include "cli/train/model.hpp"
#include "trireme/base/error.hpp"
#include "trireme/device/cuda.hpp"
#include "trireme/models/device_mlp.hpp"

#include <string>

namespace trireme::cli {

void check_device(const TrainOptions& options) {
  if (options.device == ComputeDevice::cpu) return;
  if (const std::string why = device::why_no_cuda(); !why.empty())
    fail(ErrorCode::unsupported, "--device cuda: " + why);
  // DataParallel and the update rules of this version work on host memory; where they take device memory, TaskPlace::device is
  // all that is left to set.
  fail(ErrorCode::unsupported,
       "--device cuda: data-parallel training of parameters in device memory is not in this version: use --device cpu");
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
