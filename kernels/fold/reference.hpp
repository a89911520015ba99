// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/dtype.hpp"

#include <cstddef>

namespace trireme::kernels::reference {

/// As kernels::scale, kernels::scale_add and kernels::scale_divide, one element after the other.
void scale(void* destination, const void* source, DType source_dtype, double weight, std::size_t count) noexcept;
void scale_add(void* destination, const void* source, DType source_dtype, double weight, std::size_t count) noexcept;
void scale_divide(void* destination, const void* source, DType source_dtype, double weight, double divisor,
                  std::size_t count) noexcept;

}  // namespace trireme::kernels::reference
