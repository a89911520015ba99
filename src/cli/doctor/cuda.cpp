// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor/cuda.hpp"

#include "trireme/base/error.hpp"
#include "trireme/device/cuda.hpp"

namespace trireme::cli {

Cuda find_cuda() {
  Cuda cuda{device::why_no_cuda(), device::cuda_versions(), {}};
  if (!cuda.reason.empty()) return cuda;
  try {
    cuda.devices = devices_of(*device::cuda_runtime());
  } catch (const Exception& exception) {
    cuda.reason = exception.error().message;
  }
  return cuda;
}

std::vector<CudaDevice> devices_of(const device::Runtime& runtime) {
  std::vector<CudaDevice> devices;
  for (int index = 0; index < runtime.devices(); ++index) {
    CudaDevice device{index, runtime.properties(index), {}};
    for (int peer = 0; peer < runtime.devices(); ++peer) {
      if (peer != index && runtime.reaches(index, peer)) device.peers.push_back(peer);
    }
    devices.push_back(std::move(device));
  }
  return devices;
}

std::string cuda_version(int version) {
  if (version == 0) return "none";
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

}  // namespace trireme::cli
