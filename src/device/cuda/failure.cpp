// SPDX-License-Identifier: Apache-2.0
#include "device/cuda/failure.hpp"

#include "trireme/base/error.hpp"

namespace trireme::device {
namespace {

const char* advice(cudaError_t error) {
  switch (error) {
    case cudaErrorDevicesUnavailable:
      return "; another process has the device for itself: see its compute mode in nvidia-smi";
    case cudaErrorNoKernelImageForDevice:
      return "; this build has no code for the device: add its compute capability to CMAKE_CUDA_ARCHITECTURES";
    case cudaErrorIllegalAddress:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorIllegalInstruction:
    case cudaErrorHardwareStackError:
    case cudaErrorLaunchFailure:
    case cudaErrorAssert:
    case cudaErrorECCUncorrectable: return "; an earlier kernel failed, and this process can use the device no more";
    default: return "";
  }
}

}  // namespace

std::string text_of(cudaError_t error) {
  return std::string(::cudaGetErrorName(error)) + " (" + ::cudaGetErrorString(error) + ")";
}

void fail_call(cudaError_t error, const std::string& call, int device) {
  static_cast<void>(::cudaGetLastError());
  fail(ErrorCode::device, call + " on CUDA device " + std::to_string(device) + ": " + text_of(error) + advice(error));
}

}  // namespace trireme::device
