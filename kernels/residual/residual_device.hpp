// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/device/runtime.hpp"

#include <cstddef>
#include <vector>

// The functions of residual.hpp on device memory, with the same bits. They give the work to the queue and return.
namespace trireme::kernels {

template <class T>
void add_bias_residual(T* sum, const T* values, const T* bias, const T* residual, std::size_t rows, std::size_t columns,
                       device::Queue queue);
template <class T>
void add(T* sum, const T* a, const T* b, std::size_t count, device::Queue queue);

/// Appends the kernels of this folder, for Runtime::load().
void residual_kernels(std::vector<const device::KernelEntry*>& kernels);

}  // namespace trireme::kernels
