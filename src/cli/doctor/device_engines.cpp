// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor/device_engines.hpp"

#include "device/gemm/cublas_lt_library.hpp"

#include <algorithm>
#include <utility>

namespace trireme::cli {

std::string devices_apart(const Cuda& cuda) {
  for (const CudaDevice& device : cuda.devices) {
    for (const CudaDevice& peer : cuda.devices) {
      if (device.index == peer.index || std::count(device.peers.begin(), device.peers.end(), peer.index) != 0) continue;
      return "GPUs " + std::to_string(device.index) + " and " + std::to_string(peer.index) +
             " do not reach each other's memory";
    }
  }
  return {};
}

std::vector<Availability> list_device_engines(const Cuda& cuda, const std::string& cublas_library) {
  std::string apart = cuda.reason.empty() ? devices_apart(cuda) : cuda.reason;
  if (cuda.reason.empty() && !apart.empty()) apart += ": what they exchange goes through the host (staged)";
  std::string no_cublas = device::cublas_lt::why_not(cublas_library);
  if (no_cublas.empty()) no_cublas = cuda.reason;
  return {{"staged", cuda.reason.empty(), cuda.reason},
          {"peer", apart.empty(), std::move(apart)},
          {"cublas_lt", no_cublas.empty(), std::move(no_cublas)}};
}

}  // namespace trireme::cli
