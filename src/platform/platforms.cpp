// SPDX-License-Identifier: Apache-2.0
#include "platform/platform.hpp"

#include <array>

namespace trireme::platform {
namespace {
constexpr std::array<Platform, 6> table{{
    {"sagemaker", sagemaker_present, describe_sagemaker, sagemaker_job},
    {"vertex", vertex_present, describe_vertex, vertex_job},
    {"azureml", azureml_present, describe_azureml, azureml_job},
    {"kubernetes", kubernetes_present, describe_kubernetes, kubernetes_job},
    {"slurm", slurm_present, describe_slurm, slurm_job},
    {"plain", plain_present, describe_plain, plain_job},
}};
}

std::span<const Platform> platforms() { return table; }

}  // namespace trireme::platform
