// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/doctor/cuda.hpp"
#include "trireme/platform/environment.hpp"

#include <optional>
#include <string>
#include <vector>

namespace trireme::cli {

/// A graphics processor as the NVIDIA driver lists it, and as CUDA sees it.
struct Gpu {
  std::string bus;                   ///< "0000:17:00.0"
  std::string model;                 ///< "NVIDIA H100"; empty when not told
  std::optional<CudaDevice> cuda{};  ///< none: not visible to this process, or there is no CUDA
};

/// The folders below `driver_folder` (normally /proc/driver/nvidia/gpus), one per device, by bus address; none without
/// a driver.
std::vector<Gpu> find_gpus(const std::string& driver_folder);

/// Those of /proc/driver/nvidia/gpus below TRIREME_ROOT, or as many pretended ones as TRIREME_GPU_COUNT says.
std::vector<Gpu> find_gpus(const platform::Environment& environment);

/// Those listed with what CUDA says of each; first CUDA's devices in its order, also such as the driver does not list.
std::vector<Gpu> with_devices(std::vector<Gpu> listed, const std::vector<CudaDevice>& devices);

}  // namespace trireme::cli
