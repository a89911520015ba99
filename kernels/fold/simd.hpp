// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/dtype.hpp"

#include <cstddef>

// One definition per instruction set, from the same simd.cpp.
namespace trireme::kernels::portable {
void scale(void* destination, const void* source, DType dtype, double weight, std::size_t count) noexcept;
void scale_add(void* destination, const void* source, DType dtype, double weight, std::size_t count) noexcept;
void scale_divide(void* destination, const void* source, DType dtype, double weight, double divisor,
                  std::size_t count) noexcept;
}  // namespace trireme::kernels::portable
namespace trireme::kernels::avx2 {
void scale(void* destination, const void* source, DType dtype, double weight, std::size_t count) noexcept;
void scale_add(void* destination, const void* source, DType dtype, double weight, std::size_t count) noexcept;
void scale_divide(void* destination, const void* source, DType dtype, double weight, double divisor,
                  std::size_t count) noexcept;
}  // namespace trireme::kernels::avx2
namespace trireme::kernels::avx512 {
void scale(void* destination, const void* source, DType dtype, double weight, std::size_t count) noexcept;
void scale_add(void* destination, const void* source, DType dtype, double weight, std::size_t count) noexcept;
void scale_divide(void* destination, const void* source, DType dtype, double weight, double divisor,
                  std::size_t count) noexcept;
}  // namespace trireme::kernels::avx512
