// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace trireme::kernels {

/// What an update of device parameters needs to know about the step's gradients as a whole. It lives in device memory: the
/// norm writes it and the updates read it, so that the host waits for neither.
struct StepScale {
  double gradient_scale = 1;  ///< every gradient is multiplied by it
  std::uint32_t skip = 0;     ///< not 0: the step is left out, nothing is written
};

}  // namespace trireme::kernels
