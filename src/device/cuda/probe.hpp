// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "device/cuda/presence.hpp"

namespace trireme::device {

/// Asks CUDA what is here. Begins no context.
Presence find_cuda();

}  // namespace trireme::device
