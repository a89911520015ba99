// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/reduce/reduce.hpp"

namespace trireme::kernels::reference {

/// As kernels::reduce, one element after the other on a stack of values: the first rung of the ladder.
void reduce(const ReduceCall& call);

}  // namespace trireme::kernels::reference
