// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/isa.hpp"
#include "trireme/base/dtype.hpp"

#include <cstddef>

namespace trireme::kernels {

/// destination[i] = A(source[i] * A(weight)), A the accumulator type: f64 for f64 sources, f32 for the other floating types.
/// The product is rounded to A once. Shape: count elements; destination in A; destination may be source where A is the
/// source's type, otherwise they are apart.
void scale(void* destination, const void* source, DType source_dtype, double weight, std::size_t count,
           Isa isa = best_isa()) noexcept;

/// destination[i] = destination[i] + A(source[i] * A(weight)): product rounded, then sum rounded; never fused.
void scale_add(void* destination, const void* source, DType source_dtype, double weight, std::size_t count,
               Isa isa = best_isa()) noexcept;

/// destination[i] = A(A(source[i] * A(weight)) / A(divisor)): the weighted mean of a tree that has one leaf, in one pass.
/// Shape: as scale(); destination may be source where A is the source's type.
void scale_divide(void* destination, const void* source, DType source_dtype, double weight, double divisor,
                  std::size_t count, Isa isa = best_isa()) noexcept;

}  // namespace trireme::kernels
