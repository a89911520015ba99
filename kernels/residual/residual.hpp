// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/isa.hpp"

#include <cstddef>

namespace trireme::kernels {

/// sum[r][c] = residual[r][c] + (values[r][c] + bias[c]): a branch with its bias, joined to what passed it by.
/// Shape: row-major and dense, of float or double; sum may be values' own memory.
template <class T>
void add_bias_residual(T* sum, const T* values, const T* bias, const T* residual, std::size_t rows, std::size_t columns,
                       Isa isa = best_isa()) noexcept;

/// sum[i] = a[i] + b[i].
/// Shape: count elements each; sum may be a's or b's own memory.
template <class T>
void add(T* sum, const T* a, const T* b, std::size_t count, Isa isa = best_isa()) noexcept;

}  // namespace trireme::kernels
