// SPDX-License-Identifier: Apache-2.0
#include "platform/platform.hpp"

#include <limits>

namespace trireme::platform {

bool slurm_present(const Scene& scene) {
  return scene.text("SLURM_JOB_ID") || scene.text("SLURM_JOBID") || scene.text("SLURM_STEP_NUM_TASKS");
}

void describe_slurm(const Scene& scene, ClusterSpec& spec) {
  const auto restarts = scene.environment.integer("SLURM_RESTART_COUNT", 0, std::numeric_limits<int>::max());
  spec.restart_count = restarts.value_or(0);
}

std::string slurm_job(const Scene& scene) {
  auto job = scene.text("SLURM_JOB_ID");
  if (!job) job = scene.text("SLURM_JOBID");
  if (!job) return {};
  return "slurm/" + *job + "." + scene.text("SLURM_STEP_ID").value_or(scene.text("SLURM_STEPID").value_or("0"));
}

}  // namespace trireme::platform
