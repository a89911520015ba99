// SPDX-License-Identifier: Apache-2.0
#include "platform/launcher.hpp"
#include "platform/mpi_ranks.hpp"

namespace trireme::platform {
namespace {

constexpr MpiVariables hydra_names{
    "the mpirun of MPICH and Intel MPI (Hydra)", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS", false};

}  // namespace

bool hydra_present(const Scene& scene) {
  const Environment& environment = scene.environment;
  if (environment.has(hydra_names.local_rank) || environment.has(hydra_names.local_size)) return true;
  // srun --mpi=pmi2 sets the other two as well, but its tasks are none of Hydra's.
  return has_any(environment, hydra_names) && !environment.has("SLURM_PROCID");
}

void describe_hydra(const Scene& scene, ClusterSpec& spec) {
  describe_mpi_ranks(scene, hydra_names, spec);
  if (spec.job_id.empty()) {
    if (const auto id = scene.environment.find("PMI_JOBID")) spec.job_id = "mpi/" + *id;
  }
}

}  // namespace trireme::platform
