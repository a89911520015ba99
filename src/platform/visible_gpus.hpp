// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "platform/scene.hpp"

namespace trireme::platform {

/// The GPUs this process may use: TRIREME_GPU_COUNT if it is set, else what the NVIDIA driver lists in
/// /proc/driver/nvidia/gpus, no more than CUDA_VISIBLE_DEVICES and NVIDIA_VISIBLE_DEVICES name.
int visible_gpus(const Scene& scene);

/// The processes to start on this host: TRIREME_PROCS_PER_NODE, else PET_NPROC_PER_NODE, else one per visible GPU, else 1.
struct LocalProcesses {
  int count = 1;
  bool told = false;  ///< by a setting of the job, so that every host has the same number
};
LocalProcesses local_processes(const Scene& scene);

}  // namespace trireme::platform
