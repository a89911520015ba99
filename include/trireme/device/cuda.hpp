// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/device/runtime.hpp"

#include <memory>
#include <string>

namespace trireme::device {

/// Why there is no CUDA here, in one line that says what to do; empty when there is. Neither starts the devices nor leaves
/// anything behind: a build with CUDA asks it on machines without a driver.
std::string why_no_cuda();

/// CUDA's devices: its runtime API. Streams are cudaStream_t, events cudaEvent_t, all memory in one address space.
/// Errors: unsupported with why_no_cuda().
std::shared_ptr<Runtime> cuda_runtime();

}  // namespace trireme::device
