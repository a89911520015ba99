// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/isa.hpp"
#include "trireme/base/dtype.hpp"

#include <cstddef>

namespace trireme::kernels {

/// destination[i] = source[i] converted: exact when widening, rounded to nearest even when narrowing (overflow gives
/// infinity, in f8e4m3, which has none, NaN; NaN stays NaN). Among floating types, and any type to itself (a copy).
/// Shape:   count elements each; no overlap; any alignment.
/// Returns: false, having written nothing, when the pair of types is not one of these.
bool cast(void* destination, DType to, const void* source, DType from, std::size_t count,
          Isa isa = best_isa()) noexcept;

}  // namespace trireme::kernels
