// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/device/runtime.hpp"

#include <cstddef>
#include <vector>

// The functions of gelu.hpp on device memory, with the same bits. They give the work to the queue and return.
namespace trireme::kernels {

template <class T>
void add_bias_gelu(T* activations, T* values, const T* bias, std::size_t rows, std::size_t columns,
                   device::Queue queue);
template <class T>
void gelu_backward(T* dx, const T* dy, const T* values, std::size_t count, device::Queue queue);

/// Appends the kernels of this folder, for Runtime::load().
void gelu_kernels(std::vector<const device::KernelEntry*>& kernels);

}  // namespace trireme::kernels
