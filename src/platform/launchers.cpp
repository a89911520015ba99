// SPDX-License-Identifier: Apache-2.0
#include "platform/launcher.hpp"

#include <array>

namespace trireme::platform {
namespace {
constexpr std::array<Launcher, 14> table{{
    {"trireme", "RANK", "WORLD_SIZE", trireme_run_present, describe_trireme_run},
    {"node_list", "TRIREME_NODE_RANK", "TRIREME_NNODES", explicit_hosts_present, describe_explicit_hosts},
    {"torchrun", "RANK", "WORLD_SIZE", torchrun_present, describe_torchrun},
    {"openmpi", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", open_mpi_present, describe_open_mpi},
    {"hydra", "PMI_RANK", "PMI_SIZE", hydra_present, describe_hydra},
    {"slurm", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", slurm_step_present, describe_slurm_step},
    {"node_list", "JOB_COMPLETION_INDEX", "TRIREME_NNODES", indexed_job_hosts_present, describe_indexed_job_hosts},
    {"node_list", "PET_NODE_RANK", "PET_NNODES", pet_hosts_present, describe_pet_hosts},
    {"node_list", "resourceconfig.json's current_host", "hosts", sagemaker_hosts_present, describe_sagemaker_hosts},
    {"node_list", "CLUSTER_SPEC's host", "hosts", vertex_hosts_present, describe_vertex_hosts},
    {"node_list", "TF_CONFIG's host", "hosts", tf_config_hosts_present, describe_tf_config_hosts},
    {"node_list", "RANK", "WORLD_SIZE", rank_hosts_present, describe_rank_hosts},
    {"node_list", "AZUREML_CR_NODE_RANK", "AZUREML_NODE_COUNT", azure_batch_hosts_present, describe_azure_batch_hosts},
    {"none", "", "", no_launcher_present, describe_no_launcher},
}};
}

std::span<const Launcher> launchers() { return table; }

}  // namespace trireme::platform
