// SPDX-License-Identifier: Apache-2.0
// Where there was no CUDA compiler.
#include "trireme/base/error.hpp"
#include "trireme/device/cuda.hpp"

namespace trireme::device {

std::string why_no_cuda() {
  return "this build of Trireme has no CUDA: build it with nvcc on PATH and -DTRIREME_WITH_CUDA=ON (preset cuda)";
}

Versions cuda_versions() { return {}; }

std::shared_ptr<Runtime> cuda_runtime() { fail(ErrorCode::unsupported, why_no_cuda()); }

}  // namespace trireme::device
