// SPDX-License-Identifier: Apache-2.0
#include "platform/visible_gpus.hpp"

#include "platform/host_port.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <filesystem>

namespace trireme::platform {
namespace {

constexpr int most_processes_of_host = 4096;

/// How many devices such a variable leaves of `there`.
int restricted(const std::optional<std::string>& setting, int there) {
  if (!setting || *setting == "all") return there;
  if (*setting == "none" || *setting == "void" || *setting == "NoDevFiles") return 0;
  int named = 0;
  for (const std::string& device : split_list(*setting, ',')) {
    if (device.front() == '-') break;  // CUDA stops at the first device that there is not
    ++named;
  }
  return std::min(there, named);
}

}  // namespace

int visible_gpus(const Scene& scene) {
  const Environment& environment = scene.environment;
  if (const auto pretended = environment.integer("TRIREME_GPU_COUNT", 0, most_processes_of_host)) return *pretended;
  int there = 0;
  std::error_code problem;
  for (std::filesystem::directory_iterator entry(scene.path("/proc/driver/nvidia/gpus"), problem), end;
       !problem && entry != end; entry.increment(problem)) {
    ++there;
  }
  there = restricted(environment.find("NVIDIA_VISIBLE_DEVICES"), there);
  return restricted(environment.find("CUDA_VISIBLE_DEVICES"), there);
}

LocalProcesses local_processes(const Scene& scene) {
  const Environment& environment = scene.environment;
  if (const auto told = environment.integer("TRIREME_PROCS_PER_NODE", 1, most_processes_of_host)) return {*told, true};
  const auto each = environment.find("PET_NPROC_PER_NODE");
  if (each && *each != "auto" && *each != "gpu") {
    if (*each == "cpu")
      fail(ErrorCode::unsupported, "PET_NPROC_PER_NODE=cpu: give a number, or auto for one process per GPU");
    return {environment.integer("PET_NPROC_PER_NODE", 1, most_processes_of_host).value(), true};
  }
  return {std::max(1, visible_gpus(scene)), false};
}

}  // namespace trireme::platform
