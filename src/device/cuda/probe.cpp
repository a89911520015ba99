// SPDX-License-Identifier: Apache-2.0
#include "device/cuda/probe.hpp"

#include "device/cuda/failure.hpp"
#include "trireme/device/cuda.hpp"

#include <cstdlib>

namespace trireme::device {

Versions cuda_versions() {
  Versions versions;
  ignore(::cudaDriverGetVersion(&versions.driver));
  ignore(::cudaRuntimeGetVersion(&versions.runtime));
  return versions;
}

Presence find_cuda() {
  using Answer = Presence::Answer;
  Presence presence;
  presence.versions = cuda_versions();
  // CUDA reads this variable itself; here it is only told.
  if (const char* visible = std::getenv("CUDA_VISIBLE_DEVICES")) presence.visible = visible;
  const cudaError_t error = ::cudaGetDeviceCount(&presence.devices);
  ignore(error);
  if (error == cudaSuccess) {
    for (int device = 0; device < presence.devices; ++device) {
      int mode = cudaComputeModeDefault;
      ignore(::cudaDeviceGetAttribute(&mode, cudaDevAttrComputeMode, device));
      if (mode == cudaComputeModeProhibited) ++presence.prohibited;
    }
    return presence;
  }
  presence.devices = 0;
  presence.failure = text_of(error);
  switch (error) {
    case cudaErrorInsufficientDriver:
      presence.answer = presence.versions.driver == 0 ? Answer::no_driver : Answer::old_driver;
      break;
    case cudaErrorStubLibrary: presence.answer = Answer::stub_driver; break;
    case cudaErrorNoDevice: presence.answer = Answer::no_device; break;
    case cudaErrorSystemNotReady: presence.answer = Answer::not_ready; break;
    default: presence.answer = Answer::failed;
  }
  return presence;
}

std::string why_no_cuda() { return why_no_cuda(find_cuda()); }

}  // namespace trireme::device
