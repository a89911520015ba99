// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/gelu/gelu.hpp"

namespace trireme::kernels::reference {

// As the functions of gelu.hpp by the definition, with tanh of the C library in long double; equal to a few units in the
// last place of the greater of value and 1.
template <class T>
void add_bias_gelu(T* activations, T* values, const T* bias, std::size_t rows, std::size_t columns);
template <class T>
void gelu_backward(T* dx, const T* dy, const T* values, std::size_t count);

}  // namespace trireme::kernels::reference
