// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/layout/interval.hpp"

#include <cstddef>

namespace trireme::data {

/// The samples of an evaluation that `rank` of `ranks` looks at: contiguous, disjoint, together every sample exactly
/// once. Cut at multiples of `block` samples: evaluating block by block then makes every sum over a block, and with
/// fixed shapes its bits, independent of the number of ranks.
/// Errors: invalid_argument unless 0 <= rank < ranks and block > 0.
layout::Interval evaluation_share(std::size_t count, int rank, int ranks, std::size_t block = 1);

}  // namespace trireme::data
