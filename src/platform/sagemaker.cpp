// SPDX-License-Identifier: Apache-2.0
#include "platform/hyperparameters.hpp"
#include "platform/json_text.hpp"
#include "platform/platform.hpp"
#include "platform/sagemaker_files.hpp"
#include "platform/text_file.hpp"

#include <filesystem>

namespace trireme::platform {
namespace {

std::optional<std::string> find_checkpoint_dir(const SagemakerTree& tree) {
  const std::string file = tree / "input/config/checkpointconfig.json";
  if (const auto text = read_text_file(file)) {
    const Json json = parse_json(*text, file);
    const auto path = JsonPlace(json, file).find("LocalPath");
    return tree.moved(path ? path->text() : "/opt/ml/checkpoints");
  }
  std::error_code ignored;
  if (std::filesystem::is_directory(tree / "checkpoints", ignored)) return tree / "checkpoints";
  return std::nullopt;
}

}  // namespace

bool sagemaker_present(const Scene& scene) { return is_sagemaker(scene); }

void describe_sagemaker(const Scene& scene, ClusterSpec& spec) {
  const SagemakerTree tree(scene);
  spec.model_dir = tree / "model";
  spec.output_dir = tree / "output/data";
  spec.tensorboard_dir = tree / "output/tensorboard";
  spec.failure_file = tree / "output/failure";
  spec.checkpoint_dir = find_checkpoint_dir(tree);
  const std::string inputs = tree / "input/config/inputdataconfig.json";
  if (const auto text = read_text_file(inputs))
    spec.inputs = parse_input_data_config(*text, inputs, tree / "input/data");
  std::optional<std::string> metric;
  const std::string told = tree / "input/config/hyperparameters.json";
  if (const auto text = read_text_file(told)) spec.hyperparameters = parse_hyperparameters(*text, told, metric);
  // Every trial of a tuning job is a training job of its own.
  if (metric)
    spec.tuning = ClusterSpec::Tuning{
        .trial_id = scene.text("TRAINING_JOB_NAME").value_or(""), .metric = metric, .metric_file = std::nullopt};
  if (const auto config = read_resource_config(scene)) {
    if (spec.node_name.empty()) spec.node_name = config->current_host;
    const std::string& interface = config->interface;
    if (!interface.empty() && interface.find('/') == std::string::npos && scene.exists("/sys/class/net/" + interface))
      spec.interface = interface;
  }
  spec.stop_grace = std::chrono::seconds(120);
}

std::string sagemaker_job(const Scene& scene) {
  const auto arn = scene.text("TRAINING_JOB_ARN"), name = scene.text("TRAINING_JOB_NAME");
  return arn ? *arn : name ? "sagemaker/" + *name : std::string();
}

}  // namespace trireme::platform
