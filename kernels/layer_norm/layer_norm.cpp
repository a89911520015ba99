// SPDX-License-Identifier: Apache-2.0
#include "kernels/layer_norm/layer_norm.hpp"

#include "kernels/layer_norm/simd.hpp"

namespace trireme::kernels {

template <class T>
void layer_norm(const LayerNormCall<T>& call, Isa isa) noexcept {
  isa >= Isa::avx2 ? avx2::layer_norm(call) : portable::layer_norm(call);
}

template <class T>
void layer_norm_backward(const LayerNormBackwardCall<T>& call, Isa isa) noexcept {
  isa >= Isa::avx2 ? avx2::layer_norm_backward(call) : portable::layer_norm_backward(call);
}

template void layer_norm(const LayerNormCall<float>& call, Isa) noexcept;
template void layer_norm(const LayerNormCall<double>& call, Isa) noexcept;
template void layer_norm_backward(const LayerNormBackwardCall<float>& call, Isa) noexcept;
template void layer_norm_backward(const LayerNormBackwardCall<double>& call, Isa) noexcept;

}  // namespace trireme::kernels
