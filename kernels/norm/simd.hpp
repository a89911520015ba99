// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/dtype.hpp"

#include <cstddef>

// One definition per instruction set, from the same simd.cpp.
namespace trireme::kernels::portable {
double block_sum_of_squares(const void* data, DType dtype, std::size_t count) noexcept;
double block_sum(const double* data, std::size_t count) noexcept;
}  // namespace trireme::kernels::portable
namespace trireme::kernels::avx2 {
double block_sum_of_squares(const void* data, DType dtype, std::size_t count) noexcept;
double block_sum(const double* data, std::size_t count) noexcept;
}  // namespace trireme::kernels::avx2
