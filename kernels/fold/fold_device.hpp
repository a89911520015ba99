// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/dtype.hpp"
#include "trireme/device/runtime.hpp"

#include <cstddef>
#include <vector>

// The functions of fold.hpp on device memory, with the same bits. They give the work to the queue and return.
namespace trireme::kernels {

void scale(void* destination, const void* source, DType source_dtype, double weight, std::size_t count,
           device::Queue queue);
void scale_add(void* destination, const void* source, DType source_dtype, double weight, std::size_t count,
               device::Queue queue);
void scale_divide(void* destination, const void* source, DType source_dtype, double weight, double divisor,
                  std::size_t count, device::Queue queue);

/// Appends the kernels of this folder, for Runtime::load().
void fold_kernels(std::vector<const device::KernelEntry*>& kernels);

}  // namespace trireme::kernels
