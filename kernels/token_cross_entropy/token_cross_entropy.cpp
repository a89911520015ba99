// SPDX-License-Identifier: Apache-2.0
#include "kernels/token_cross_entropy/token_cross_entropy.hpp"

#include "kernels/token_cross_entropy/simd.hpp"

namespace trireme::kernels {

template <class T>
void token_cross_entropy(const TokenCrossEntropyCall<T>& call, Isa isa) noexcept {
  isa >= Isa::avx2 ? avx2::token_cross_entropy(call) : portable::token_cross_entropy(call);
}

template void token_cross_entropy(const TokenCrossEntropyCall<float>& call, Isa) noexcept;
template void token_cross_entropy(const TokenCrossEntropyCall<double>& call, Isa) noexcept;

}  // namespace trireme::kernels
