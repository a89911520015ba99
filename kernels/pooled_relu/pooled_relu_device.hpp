// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/pooled_relu/pooled_relu.hpp"
#include "trireme/device/runtime.hpp"

#include <cstddef>
#include <vector>

// The functions of pooled_relu.hpp on device memory, with the same bits. They give the work to the queue and return.
namespace trireme::kernels {

template <class T>
void pooled_relu(T* y, PoolPlace* places, const T* x, const T* bias, const PoolShape& shape, device::Queue queue);
template <class T>
void pooled_relu_mask(T* dy, const PoolPlace* places, std::size_t count, device::Queue queue);
template <class T>
void pooled_relu_backward(T* dx, const T* dy, const PoolPlace* places, const PoolShape& shape, device::Queue queue);

/// Appends the kernels of this folder, for Runtime::load().
void pooled_relu_kernels(std::vector<const device::KernelEntry*>& kernels);

}  // namespace trireme::kernels
