// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/isa.hpp"

#include <cstddef>

// Attention weights of a sequence whose positions look at themselves and what came before. T is float or double; matrices
// are length x length, row-major and dense; exp is the one of dense/exponential_of.hpp, in T.
namespace trireme::kernels {

/// Row i becomes softmax(scale z_i,0 .. scale z_i,i) and zeros behind.
/// Shape: scale > 0.
/// Order: shifted by the row's maximum; the sum in f64 by the eight lanes of norm.hpp. The same bits on every Isa; row i
///        does not depend on what stood behind its element i.
template <class T>
void causal_softmax(T* values, std::size_t length, T scale, Isa isa = best_isa()) noexcept;

/// gradient[i][j] = scale p_ij (gradient[i][j] - sum_k p_ik gradient[i][k]) for j <= i, zeros behind: from the derivative
/// by the weights to that by z, with `weights` what causal_softmax wrote.
/// Order: the sum in f64 by the eight lanes, of exact products of f32.
template <class T>
void causal_softmax_backward(T* gradient, const T* weights, std::size_t length, T scale, Isa isa = best_isa()) noexcept;

}  // namespace trireme::kernels
