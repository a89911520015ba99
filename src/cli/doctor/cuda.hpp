// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/device/runtime.hpp"

#include <string>
#include <vector>

namespace trireme::cli {

/// A device as CUDA numbers them for this process.
struct CudaDevice {
  int index = 0;
  device::Properties properties;
  std::vector<int> peers;  ///< other devices whose memory it reaches
};

struct Cuda {
  std::string reason;  ///< why nothing can be computed on GPUs; empty when it can
  device::Versions versions;
  std::vector<CudaDevice> devices;
};

/// Begins no device's context.
Cuda find_cuda();

std::vector<CudaDevice> devices_of(const device::Runtime& runtime);

/// "13.0" of 13000, "none" of 0.
std::string cuda_version(int version);

}  // namespace trireme::cli
