// SPDX-License-Identifier: Apache-2.0
#include "platform/launcher.hpp"

namespace trireme::platform {

bool no_launcher_present(const Scene&) { return true; }

void describe_no_launcher(const Scene& scene, ClusterSpec& spec) {
  spec.level = "single";
  spec.local_world = 1;
  spec.node_rank = 0;
  spec.nnodes = 1;
  // A batch script is one process of its job; most that train there have forgotten srun.
  const auto tasks = scene.text("SLURM_NTASKS");
  if (scene.text("SLURM_PROCID") && tasks && *tasks != "1")
    spec.warnings.push_back("SLURM_NTASKS is " + *tasks +
                            ", but srun did not start this process, so it is alone: write srun before it");
}

}  // namespace trireme::platform
