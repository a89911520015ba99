// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/residual/residual.hpp"

namespace trireme::kernels::reference {

// As the functions of residual.hpp, one element after the other; equal in bits.
template <class T>
void add_bias_residual(T* sum, const T* values, const T* bias, const T* residual, std::size_t rows,
                       std::size_t columns);
template <class T>
void add(T* sum, const T* a, const T* b, std::size_t count);

}  // namespace trireme::kernels::reference
