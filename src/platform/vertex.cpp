// SPDX-License-Identifier: Apache-2.0
#include "platform/json_text.hpp"
#include "platform/platform.hpp"
#include "trireme/base/error.hpp"
#include "trireme/platform/local_path.hpp"

namespace trireme::platform {
namespace {

std::optional<std::string> mounted(const Scene& scene, const char* variable) {
  const auto uri = scene.text(variable);
  if (!uri) return std::nullopt;
  try {
    return local_path(*uri, scene.root);
  } catch (const Exception& caught) {
    fail(caught.error().code, std::string(variable) + "=" + caught.error().message);
  }
}

/// The trial of a tuning job: a variable, or a text in the task of CLUSTER_SPEC.
std::string trial_of(const Scene& scene) {
  if (const auto trial = scene.text("CLOUD_ML_TRIAL_ID")) return *trial;
  const auto map = try_json(scene.text("CLUSTER_SPEC").value_or(""));
  if (!map || !map->is_object() || !map->contains("task") || !(*map)["task"].is_object()) return {};
  const Json& task = (*map)["task"];
  return task.contains("trial") && task["trial"].is_string() ? task["trial"].get<std::string>() : std::string();
}

}  // namespace

bool vertex_present(const Scene& scene) { return scene.text("CLOUD_ML_JOB_ID") || scene.text("CLUSTER_SPEC"); }

void describe_vertex(const Scene& scene, ClusterSpec& spec) {
  spec.model_dir = mounted(scene, "AIP_MODEL_DIR");
  spec.checkpoint_dir = mounted(scene, "AIP_CHECKPOINT_DIR");
  spec.tensorboard_dir = mounted(scene, "AIP_TENSORBOARD_LOG_DIR");
  for (const auto& [channel, variable] :
       {std::pair{"training", "AIP_TRAINING_DATA_URI"}, std::pair{"validation", "AIP_VALIDATION_DATA_URI"},
        std::pair{"test", "AIP_TEST_DATA_URI"}}) {
    const auto uri = scene.text(variable);
    if (!uri) continue;
    if (uri->rfind("bq://", 0) == 0) {
      spec.warnings.push_back(std::string(variable) + " is a table of BigQuery, which cannot be read as files");
      continue;
    }
    spec.inputs.emplace(channel, InputChannel{.path = *mounted(scene, variable)});
  }
  const std::string trial = trial_of(scene);
  const auto file = scene.text("CLOUD_ML_HP_METRIC_FILE"), tag = scene.text("CLOUD_ML_HP_METRIC_TAG");
  if (trial.empty() && !file && !tag) return;
  spec.tuning = ClusterSpec::Tuning{.trial_id = trial.empty() ? "0" : trial,
                                    .metric = tag,
                                    .metric_file = scene.path(file.value_or("/tmp/hypertune/output.metrics"))};
}

std::string vertex_job(const Scene& scene) {
  const auto job = scene.text("CLOUD_ML_JOB_ID");
  const std::string trial = trial_of(scene);
  return job ? "vertex/" + *job + (trial.empty() ? "" : "/" + trial) : std::string();
}

}  // namespace trireme::platform
