// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/device/runtime.hpp"

#include <vector>

namespace trireme::kernels {

/// Every kernel of this folder that runs on devices, for Runtime::load().
std::vector<const device::KernelEntry*> device_kernels();

}  // namespace trireme::kernels
