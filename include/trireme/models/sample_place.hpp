// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace trireme::models {

/// Which samples a call of forward_backward has: dropout masks are a function of the seed and of these.
struct SamplePlace {
  std::uint64_t step = 0;
  std::uint64_t first_row = 0;  ///< position of the call's first row in the global batch
};

}  // namespace trireme::models
