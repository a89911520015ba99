// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "platform/scene.hpp"
#include "trireme/platform/cluster_spec.hpp"

#include <span>
#include <string>

namespace trireme::platform {

/// One kind of place a job runs in, whoever starts its processes. To add one: a file with its functions, and a row in
/// platforms.cpp.
struct Platform {
  const char* name;
  bool (*present)(const Scene& scene);
  /// Fills where data, models and logs go, what the job was told, and how often it was started.
  void (*describe)(const Scene& scene, ClusterSpec& spec);
  /// What the platform calls this job, the same on all its hosts; empty when it has no name.
  std::string (*job)(const Scene& scene);
};

/// The table, in order of precedence; the last one is always present.
std::span<const Platform> platforms();

bool sagemaker_present(const Scene& scene);
void describe_sagemaker(const Scene& scene, ClusterSpec& spec);
std::string sagemaker_job(const Scene& scene);

bool vertex_present(const Scene& scene);
void describe_vertex(const Scene& scene, ClusterSpec& spec);
std::string vertex_job(const Scene& scene);

bool azureml_present(const Scene& scene);
void describe_azureml(const Scene& scene, ClusterSpec& spec);
std::string azureml_job(const Scene& scene);

bool kubernetes_present(const Scene& scene);
void describe_kubernetes(const Scene& scene, ClusterSpec& spec);
std::string kubernetes_job(const Scene& scene);

bool slurm_present(const Scene& scene);
void describe_slurm(const Scene& scene, ClusterSpec& spec);
std::string slurm_job(const Scene& scene);

bool plain_present(const Scene& scene);
void describe_plain(const Scene& scene, ClusterSpec& spec);
std::string plain_job(const Scene& scene);

}  // namespace trireme::platform
