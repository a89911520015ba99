// SPDX-License-Identifier: Apache-2.0
#include "platform/launcher.hpp"
#include "platform/mpi_ranks.hpp"

namespace trireme::platform {
namespace {

// OMPI_COMM_WORLD_NODE_RANK is left alone: it is a rank within the host, not the host's index.
constexpr MpiVariables open_mpi_names{"Open MPI's mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
                                      "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"};

}  // namespace

bool open_mpi_present(const Environment& environment) { return has_any(environment, open_mpi_names); }

void describe_open_mpi(const Environment& environment, ClusterSpec& spec) {
  describe_mpi_ranks(environment, open_mpi_names, spec);
  // Another one for every start of mpirun, the same on all ranks.
  if (const auto space = environment.find("PMIX_NAMESPACE"); space && spec.job_id.empty())
    spec.job_id = "mpi/" + *space;
}

}  // namespace trireme::platform
