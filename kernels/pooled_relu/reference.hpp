// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/pooled_relu/pooled_relu.hpp"

// What the kernels are compared with.
namespace trireme::kernels::reference {

template <class T>
void pooled_relu(T* y, PoolPlace* places, const T* x, const T* bias, const PoolShape& shape);
template <class T>
void pooled_relu_mask(T* dy, const PoolPlace* places, std::size_t count);
template <class T>
void pooled_relu_backward(T* dx, const T* dy, const PoolPlace* places, const PoolShape& shape);

}  // namespace trireme::kernels::reference
