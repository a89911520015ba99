// SPDX-License-Identifier: Apache-2.0
#include "platform/launcher.hpp"
#include "platform/mpi_ranks.hpp"

namespace trireme::platform {
namespace {

// OMPI_COMM_WORLD_NODE_RANK is left alone: it is a rank within the host, not the host's index.
constexpr MpiVariables open_mpi_names{"Open MPI's mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
                                      "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"};

}  // namespace

bool open_mpi_present(const Scene& scene) { return has_any(scene.environment, open_mpi_names); }

void describe_open_mpi(const Scene& scene, ClusterSpec& spec) {
  describe_mpi_ranks(scene, open_mpi_names, spec);
  // Another one for every start of mpirun, the same on all ranks.
  if (const auto space = scene.environment.find("PMIX_NAMESPACE"); space && spec.job_id.empty())
    spec.job_id = "mpi/" + *space;
}

}  // namespace trireme::platform
