// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/device/runtime.hpp"

#include <memory>
#include <string>

namespace trireme::device {

/// Why there is no CUDA here, in one line that says what to do; empty when there is. Neither starts the devices nor leaves
/// anything behind: a build with CUDA asks it on machines without a driver.
std::string why_no_cuda();

/// Up to which CUDA the driver serves, and which one this was built with; 0: none. As why_no_cuda(), it begins nothing.
Versions cuda_versions();

/// CUDA's devices: its runtime API; one value for the process. Streams are cudaStream_t, events cudaEvent_t, graphs
/// cudaGraphExec_t, all memory in one address space. A device's context begins when it is first used; none is begun on others.
/// The calling thread's current device is the same afterwards, if it was in use.
/// Errors: unsupported with why_no_cuda().
std::shared_ptr<Runtime> cuda_runtime();

}  // namespace trireme::device
