// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/token_cross_entropy/token_cross_entropy.hpp"

// One definition per instruction set, from the same simd.cpp.
namespace trireme::kernels::portable {
void token_cross_entropy(const TokenCrossEntropyCall<float>& call) noexcept;
void token_cross_entropy(const TokenCrossEntropyCall<double>& call) noexcept;
}  // namespace trireme::kernels::portable
namespace trireme::kernels::avx2 {
void token_cross_entropy(const TokenCrossEntropyCall<float>& call) noexcept;
void token_cross_entropy(const TokenCrossEntropyCall<double>& call) noexcept;
}  // namespace trireme::kernels::avx2
