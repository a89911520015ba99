// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/device/runtime.hpp"

namespace trireme::device {

/// What CUDA says of a device, without beginning its context.
Properties properties_of(int device);

}  // namespace trireme::device
