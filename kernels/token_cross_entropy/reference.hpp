// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/token_cross_entropy/token_cross_entropy.hpp"

namespace trireme::kernels::reference {

// As token_cross_entropy.hpp with exp and log of the C library in f64; equal to a few units in the last place.
template <class T>
void token_cross_entropy(const TokenCrossEntropyCall<T>& call);

}  // namespace trireme::kernels::reference
