// SPDX-License-Identifier: Apache-2.0
#include "platform/conflicts.hpp"
#include "platform/group_roles.hpp"
#include "platform/hyperparameters.hpp"
#include "platform/launcher.hpp"
#include "platform/own_variables.hpp"
#include "platform/platform.hpp"
#include "platform/server_role.hpp"
#include "trireme/platform/cluster_spec.hpp"

#include <limits>
#include <string>

namespace trireme::platform {
namespace {

/// A job id that two starts of a job never share. mpirun's is its own: its ranks on other hosts have not got the
/// platform's variables.
void describe_job(const Scene& scene, const Platform& platform, ClusterSpec& spec) {
  if (const auto id = scene.environment.find("TRIREME_JOB_ID")) {
    spec.job_id = *id;
    return;
  }
  if (spec.launcher == "openmpi" || spec.launcher == "hydra" || spec.launcher == "trireme") return;
  if (spec.launcher == "torchrun" && scene.environment.has("TORCHELASTIC_RUN_ID")) return;
  std::string id = platform.job(scene);
  if (!id.empty()) id += "/" + std::to_string(spec.restart_count) + "/";
  if (!id.empty() && spec.launcher != "torchrun") {
    spec.job_id = id;
    return;
  }
  if (spec.master && spec.port) spec.job_id = id + *spec.master + ":" + std::to_string(*spec.port);
}

}  // namespace

std::string_view name_of(Role role) {
  switch (role) {
    case Role::worker: return "worker";
    case Role::server: return "server";
    case Role::evaluator: return "evaluator";
  }
  return "unknown";
}

ClusterSpec detect(const Environment& environment, const DetectOptions& options) {
  Scene scene = scene_of(environment, options);
  const Platform* platform = platforms().data();
  while (!platform->present(scene)) ++platform;
  scene.platform = platform->name;
  const Launcher* launcher = launchers().data();
  while (!launcher->present(scene)) ++launcher;

  ClusterSpec spec;
  spec.platform = platform->name;
  spec.launcher = launcher->name;
  launcher->describe(scene, spec);
  if (const auto role = scene.text("TRIREME_ROLE")) spec.role = parse_role(*role, "TRIREME_ROLE");
  if (spec.role != Role::worker) spec.ranks_known = false;
  describe_servers(scene, spec);
  warn_of_conflicts(scene, *launcher, spec);
  warn_of_misspelt_variables(environment, spec);
  platform->describe(scene, spec);
  if (const auto restarts = environment.integer("TORCHELASTIC_RESTART_COUNT", 0, std::numeric_limits<int>::max())) {
    spec.restart_count = *restarts;
  }
  add_from_environment(environment, spec.hyperparameters);
  if (scene.exists("/dev/termination-log")) spec.termination_message = scene.path("/dev/termination-log");
  describe_job(scene, *platform, spec);
  return spec;
}

}  // namespace trireme::platform
