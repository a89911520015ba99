// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/rung.hpp"
#include "trireme/base/dtype.hpp"
#include "trireme/device/runtime.hpp"

#include <cstddef>
#include <vector>

// The functions of fold.hpp on device memory, with the same bits, and what folds begin and end with. They give the work to the
// queue and return. Pointers are aligned to their elements.
namespace trireme::kernels {

void scale(void* destination, const void* source, DType source_dtype, double weight, std::size_t count,
           device::Queue queue, Rung rung = Rung::fast);
void scale_add(void* destination, const void* source, DType source_dtype, double weight, std::size_t count,
               device::Queue queue, Rung rung = Rung::fast);
void scale_divide(void* destination, const void* source, DType source_dtype, double weight, double divisor,
                  std::size_t count, device::Queue queue, Rung rung = Rung::fast);

/// left[i] = left[i] + right[i], one node of a fold's tree. Shape: dtype f32 or f64.
void add(void* left, const void* right, DType dtype, std::size_t count, device::Queue queue, Rung rung = Rung::fast);

/// Fills with the identity of addition: x + -0 is x for every x, +0 and -0 included. Shape: dtype f32 or f64.
void fill_negative_zero(void* memory, DType dtype, std::size_t count, device::Queue queue);

/// Appends the kernels of this folder, for Runtime::load().
void fold_kernels(std::vector<const device::KernelEntry*>& kernels);

}  // namespace trireme::kernels
