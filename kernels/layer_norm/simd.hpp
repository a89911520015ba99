// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/layer_norm/layer_norm.hpp"

// One definition per instruction set, from the same simd.cpp.
namespace trireme::kernels::portable {
void layer_norm(const LayerNormCall<float>& call) noexcept;
void layer_norm_backward(const LayerNormBackwardCall<float>& call) noexcept;
void layer_norm(const LayerNormCall<double>& call) noexcept;
void layer_norm_backward(const LayerNormBackwardCall<double>& call) noexcept;
}  // namespace trireme::kernels::portable
namespace trireme::kernels::avx2 {
void layer_norm(const LayerNormCall<float>& call) noexcept;
void layer_norm_backward(const LayerNormBackwardCall<float>& call) noexcept;
void layer_norm(const LayerNormCall<double>& call) noexcept;
void layer_norm_backward(const LayerNormBackwardCall<double>& call) noexcept;
}  // namespace trireme::kernels::avx2
