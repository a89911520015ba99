// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/rung.hpp"
#include "trireme/base/dtype.hpp"
#include "trireme/device/runtime.hpp"

#include <cstddef>
#include <vector>

namespace trireme::kernels {

/// cast() of cast.hpp on memory that the device reaches, with the same bits: among floating types, and any type to itself.
/// Shape:   pointers aligned to their elements.
/// Cost:    one launch, or one copy.
/// Returns: false, having done nothing, when the pair of types is not one of these.
bool cast(void* destination, DType to, const void* source, DType from, std::size_t count, device::Queue queue,
          Rung rung = Rung::fast);

/// Appends the kernels of this folder, for Runtime::load().
void cast_kernels(std::vector<const device::KernelEntry*>& kernels);

}  // namespace trireme::kernels
