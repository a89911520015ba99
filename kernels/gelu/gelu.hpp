// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/isa.hpp"

#include <cstddef>

// The Gaussian error linear unit in its tanh form: gelu(z) = z/2 (1 + tanh(u)) = z/(1 + exp(-2u)),
// u = sqrt(2/pi) (z + 0.044715 z^3). T is float or double; exp is the one of dense/exponential_of.hpp, in T.
// Source: Hendrycks, Gimpel, "Gaussian error linear units", 2016 (arXiv 1606.08415).
namespace trireme::kernels {

/// values[r][c] = values[r][c] + bias[c]; activations[r][c] = gelu(values[r][c]).
/// Shape: activations apart from values.
/// Order: element by element, each operation rounded; the same bits on every Isa.
template <class T>
void add_bias_gelu(T* activations, T* values, const T* bias, std::size_t rows, std::size_t columns,
                   Isa isa = best_isa()) noexcept;

/// dx[i] = gelu'(values[i]) dy[i], with `values` what add_bias_gelu left there.
/// Shape: count elements each; dx may be dy's own memory.
template <class T>
void gelu_backward(T* dx, const T* dy, const T* values, std::size_t count, Isa isa = best_isa()) noexcept;

}  // namespace trireme::kernels
