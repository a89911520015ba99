// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/dtype.hpp"

#include <cstddef>

namespace trireme::parallel {

/// Fills with the identity of addition, -0: x + -0 is x for every x, +0 and -0 included. Shape: dtype f32 or f64.
void fill_identity(std::byte* memory, DType dtype, std::size_t count);

/// left = left + right, one node of the fold's tree. Shape: dtype f32 or f64.
void add_elements(std::byte* left, const std::byte* right, DType dtype, std::size_t count);

}  // namespace trireme::parallel
