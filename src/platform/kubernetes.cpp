// SPDX-License-Identifier: Apache-2.0
#include "platform/platform.hpp"

namespace trireme::platform {

bool kubernetes_present(const Scene& scene) {
  for (const char* mark :
       {"PET_NODE_RANK", "PET_RDZV_ENDPOINT", "JOB_COMPLETION_INDEX", "K_MPI_JOB_ROLE", "KUBERNETES_SERVICE_HOST"}) {
    if (scene.text(mark)) return true;
  }
  return scene.exists("/etc/mpi/hostfile");  // ranks of an MPIJob come over ssh, without the pod's variables
}

void describe_kubernetes(const Scene& scene, ClusterSpec& spec) {
  // Where the initialisers of a TrainJob put data.
  if (scene.exists("/workspace/dataset"))
    spec.inputs.emplace("dataset", InputChannel{.path = scene.path("/workspace/dataset")});
}

std::string kubernetes_job(const Scene& scene) { return scene.text("PET_RDZV_ID").value_or(""); }

}  // namespace trireme::platform
