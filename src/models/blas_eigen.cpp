// SPDX-License-Identifier: Apache-2.0
#include "models/blas_library.hpp"
#include "trireme/models/blas.hpp"

#include <Eigen/Core>

namespace trireme::models {

BlasInfo blas_info() {
  const std::string version = std::to_string(EIGEN_WORLD_VERSION) + "." + std::to_string(EIGEN_MAJOR_VERSION) + "." +
                              std::to_string(EIGEN_MINOR_VERSION);
  return {"Eigen " + version, Eigen::SimdInstructionSetsInUse(), 1};
}

const char* wanted_blas_core() noexcept { return nullptr; }

void use_one_blas_thread() noexcept {}

}  // namespace trireme::models
