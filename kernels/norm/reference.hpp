// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/dtype.hpp"

#include <cstddef>
#include <span>

namespace trireme::kernels::reference {

/// The sum over the balanced tree of ReductionTree, by recursion: the rule itself.
double tree_sum(std::span<const double> values);

/// As kernels::sum_of_squares and kernels::sum: lanes gathered one after the other, tree_sum of lanes, then of blocks.
double sum_of_squares(const void* data, DType dtype, std::size_t count);
double sum(const double* data, std::size_t count);

}  // namespace trireme::kernels::reference
