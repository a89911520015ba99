// SPDX-License-Identifier: Apache-2.0
#include "platform/json_text.hpp"
#include "platform/platform.hpp"

#include <algorithm>

namespace trireme::platform {
namespace {

using Mounts = std::map<std::string, std::string>;

/// Variables of this prefix that hold a path: what is behind the prefix -> path. Literal inputs are no paths.
Mounts mounts(const Scene& scene, std::string_view prefix) {
  Mounts found;
  for (const auto& [variable, value] : scene.environment.variables()) {
    if (variable.rfind(prefix, 0) != 0 || variable.size() == prefix.size()) continue;
    if (value.empty() || value.find("://") != std::string::npos) continue;
    if (value.front() == '/')
      found.emplace(variable.substr(prefix.size()), scene.path(value));
    else if (value.rfind("./", 0) == 0)
      found.emplace(variable.substr(prefix.size()), value);
  }
  return found;
}

std::optional<std::string> named(const Mounts& outputs, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    for (const auto& [output, path] : outputs) {
      std::string lower = output;
      for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      if (lower == name) return path;
    }
  }
  return std::nullopt;
}

int attempts(const Scene& scene, ClusterSpec& spec) {
  const auto text = scene.text("AZUREML_CR_COMPUTE_CONTEXT");
  if (!text) return 0;
  const auto context = try_json(*text);
  if (!context || !context->is_object()) {
    spec.warnings.emplace_back(
        "AZUREML_CR_COMPUTE_CONTEXT is no JSON object: how often this job was started is unknown");
    return 0;
  }
  const auto found = context->find("run_attempt_count");
  if (found == context->end() || !found->is_number_unsigned()) return 0;
  return static_cast<int>(std::clamp<std::uint64_t>(found->get<std::uint64_t>(), 1, 1'000'000) - 1);
}

}  // namespace

bool azureml_present(const Scene& scene) {
  return scene.text("AZUREML_RUN_ID") || scene.text("AZ_BATCHAI_CLUSTER_NAME");
}

void describe_azureml(const Scene& scene, ClusterSpec& spec) {
  const auto folder = scene.text("AZUREML_CR_EXECUTION_WORKING_DIR_PATH");
  std::string outputs = folder ? scene.path(*folder) : ".";
  while (outputs.size() > 1 && outputs.back() == '/') outputs.pop_back();
  outputs += "/outputs";
  const Mounts given = mounts(scene, "AZURE_ML_OUTPUT_");
  spec.model_dir = named(given, {"model", "model_dir", "models"});
  if (!spec.model_dir) spec.model_dir = outputs;
  spec.output_dir = outputs;
  spec.tensorboard_dir = outputs + "/tblogs";
  spec.checkpoint_dir = named(given, {"ckpt", "checkpoint", "checkpoints", "checkpoint_dir"});
  for (const std::string_view prefix : {"AZURE_ML_INPUT_", "AZUREML_DATAREFERENCE_"}) {
    for (const auto& [name, path] : mounts(scene, prefix)) spec.inputs.emplace(name, InputChannel{.path = path});
  }
  spec.restart_count = attempts(scene, spec);
}

std::string azureml_job(const Scene& scene) {
  const auto run = scene.text("AZUREML_RUN_ID");
  return run ? "azureml/" + *run : std::string();
}

}  // namespace trireme::platform
