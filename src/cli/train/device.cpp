// SPDX-License-Identifier: Apache-2.0
#include "cli/train/device.hpp"

#include "cli/train/model.hpp"
#include "trireme/base/error.hpp"
#include "trireme/models/device_mlp.hpp"

#include <string>

namespace trireme::cli {

void check_device(const TrainOptions& options, const platform::Environment& environment) {
  require_device(options.device, options.device_given, environment, "trireme train computes on the host");
}

Options world_options(const TrainOptions& options, const platform::Environment& environment) {
  Options world;
  choose_device(world, options.device, environment);
  return world;
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
