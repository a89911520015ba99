// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/isa.hpp"

#include <cstddef>
#include <cstdint>

// Rows of a table by token, and back. T is float or double; matrices are row-major and dense.
namespace trireme::kernels {

/// x[i] = table[tokens[i]] + positions[i mod length], rows of `channels` elements.
/// Shape: tokens `count` (every one a row of the table), x count x channels, positions length x channels.
template <class T>
void embedding(T* x, const std::uint16_t* tokens, const T* table, const T* positions, std::size_t count,
               std::size_t length, std::size_t channels, Isa isa = best_isa()) noexcept;

/// gradient[tokens[i]] += dx[i], rows of `channels` elements, for i ascending: the same bits on every Isa.
/// Shape: as embedding(); gradient apart from dx.
template <class T>
void embedding_backward(T* gradient, const std::uint16_t* tokens, const T* dx, std::size_t count, std::size_t channels,
                        Isa isa = best_isa()) noexcept;

}  // namespace trireme::kernels
