// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/platform/environment.hpp"
#include "trireme/world/world.hpp"

#include <string>
#include <string_view>

namespace trireme::cli {

/// What --device names: where a program's tensors lie and who works on them. Emulated: devices that threads of the process play.
enum class ComputeDevice : unsigned char { cpu, cuda, emulated };
constexpr const char* name_of(ComputeDevice device) {
  return device == ComputeDevice::cpu ? "cpu" : device == ComputeDevice::cuda ? "cuda" : "emulated";
}

/// What CUDA reads of the environment when it starts, unless somebody has set it: kernels are loaded at once, and streams have
/// queues of their own, so that several ranks may share a GPU. Before there are threads.
void prepare_device(ComputeDevice device);

/// Before there is a world: whether what --device names is there. `given`: a flag has named it; `otherwise`: what happens without,
/// "trireme train computes on the host".
/// Errors: unsupported, saying what is missing; invalid_argument when TRIREME_DEVICE asks for a device and no flag does.
void require_device(ComputeDevice device, bool given, const platform::Environment& environment,
                    std::string_view otherwise);

/// In `world`: a device for each rank, or none. Which of CUDA's TRIREME_DEVICE may say.
void choose_device(Options& world, ComputeDevice device, const platform::Environment& environment);

/// "cuda:0 (NVIDIA H200)": for the start of a log; empty on the host.
std::string describe_device(const World& world);

}  // namespace trireme::cli
