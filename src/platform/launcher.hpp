// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "platform/scene.hpp"
#include "trireme/platform/cluster_spec.hpp"

#include <span>

namespace trireme::platform {

/// One way processes are started, or one way in which a platform lists the hosts they are to be started on. To add one: a
/// file with its two functions, and a row in launchers.cpp.
struct Launcher {
  const char* name;
  const char* rank_name;   ///< for messages: what tells the number of this rank or host
  const char* count_name;  ///< and how many there are
  /// Whether any mark of this launcher is there: then it decides, and an incomplete set of its marks is an error.
  bool (*present)(const Scene& scene);
  /// Fills everything of `spec` that the launcher tells. Errors: as detect().
  void (*describe)(const Scene& scene, ClusterSpec& spec);
};

/// The table, in order of precedence; the last one is always present.
std::span<const Launcher> launchers();

bool trireme_run_present(const Scene& scene);
void describe_trireme_run(const Scene& scene, ClusterSpec& spec);

bool explicit_hosts_present(const Scene& scene);
void describe_explicit_hosts(const Scene& scene, ClusterSpec& spec);

bool torchrun_present(const Scene& scene);
void describe_torchrun(const Scene& scene, ClusterSpec& spec);

bool open_mpi_present(const Scene& scene);
void describe_open_mpi(const Scene& scene, ClusterSpec& spec);

bool hydra_present(const Scene& scene);
void describe_hydra(const Scene& scene, ClusterSpec& spec);

bool slurm_step_present(const Scene& scene);
void describe_slurm_step(const Scene& scene, ClusterSpec& spec);

bool pet_hosts_present(const Scene& scene);
void describe_pet_hosts(const Scene& scene, ClusterSpec& spec);

bool sagemaker_hosts_present(const Scene& scene);
void describe_sagemaker_hosts(const Scene& scene, ClusterSpec& spec);

bool vertex_hosts_present(const Scene& scene);
void describe_vertex_hosts(const Scene& scene, ClusterSpec& spec);

bool tf_config_hosts_present(const Scene& scene);
void describe_tf_config_hosts(const Scene& scene, ClusterSpec& spec);

bool rank_hosts_present(const Scene& scene);
void describe_rank_hosts(const Scene& scene, ClusterSpec& spec);

bool indexed_job_hosts_present(const Scene& scene);
void describe_indexed_job_hosts(const Scene& scene, ClusterSpec& spec);

bool azure_batch_hosts_present(const Scene& scene);
void describe_azure_batch_hosts(const Scene& scene, ClusterSpec& spec);

bool no_launcher_present(const Scene& scene);
void describe_no_launcher(const Scene& scene, ClusterSpec& spec);

}  // namespace trireme::platform
