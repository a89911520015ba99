// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/embedding/embedding.hpp"

// One definition per instruction set, from the same simd.cpp.
namespace trireme::kernels::portable {
void embedding(float* x, const std::uint16_t* tokens, const float* table, const float* positions, std::size_t count,
               std::size_t length, std::size_t channels) noexcept;
void embedding_backward(float* gradient, const std::uint16_t* tokens, const float* dx, std::size_t count,
                        std::size_t channels) noexcept;
void embedding(double* x, const std::uint16_t* tokens, const double* table, const double* positions, std::size_t count,
               std::size_t length, std::size_t channels) noexcept;
void embedding_backward(double* gradient, const std::uint16_t* tokens, const double* dx, std::size_t count,
                        std::size_t channels) noexcept;
}  // namespace trireme::kernels::portable
namespace trireme::kernels::avx2 {
void embedding(float* x, const std::uint16_t* tokens, const float* table, const float* positions, std::size_t count,
               std::size_t length, std::size_t channels) noexcept;
void embedding_backward(float* gradient, const std::uint16_t* tokens, const float* dx, std::size_t count,
                        std::size_t channels) noexcept;
void embedding(double* x, const std::uint16_t* tokens, const double* table, const double* positions, std::size_t count,
               std::size_t length, std::size_t channels) noexcept;
void embedding_backward(double* gradient, const std::uint16_t* tokens, const double* dx, std::size_t count,
                        std::size_t channels) noexcept;
}  // namespace trireme::kernels::avx2
