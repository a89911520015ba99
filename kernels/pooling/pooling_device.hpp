// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/pooling/pooling.hpp"
#include "trireme/device/runtime.hpp"

#include <vector>

// The functions of pooling.hpp on device memory, with the same bits. They give the work to the queue and return.
namespace trireme::kernels {

template <class T>
void mean_pool(T* y, const T* x, const PoolShape& shape, device::Queue queue);
template <class T>
void mean_pool_backward(T* dx, const T* dy, const PoolShape& shape, device::Queue queue);

/// Appends the kernels of this folder, for Runtime::load().
void pooling_kernels(std::vector<const device::KernelEntry*>& kernels);

}  // namespace trireme::kernels
