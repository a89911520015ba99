// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/dtype.hpp"

#include <cstddef>

namespace trireme::kernels::reference {

/// As kernels::cast, one element after the other: the first rung of the ladder. Also reads and writes the elements of
/// the other references.
bool cast(void* destination, DType to, const void* source, DType from, std::size_t count) noexcept;

/// Element `index` of floating type `dtype`, widened exactly.
double load(const void* data, DType dtype, std::size_t index) noexcept;

/// Writes `value` rounded once to floating type `dtype`.
void store(void* data, DType dtype, std::size_t index, double value) noexcept;

}  // namespace trireme::kernels::reference
