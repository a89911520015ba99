// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/plane_convolution/plane_convolution.hpp"

// What the kernels are compared with.
namespace trireme::kernels::reference {

template <class T>
void plane_convolution(T* y, PoolPlace* places, const T* x, const T* weight, const T* bias, const PlaneShape& shape,
                       T* padded);
template <class T>
void plane_gradients(T* weights, T* biases, const T* x, const T* dy, const PoolPlace* places, const PlaneShape& shape,
                     T* padded);

}  // namespace trireme::kernels::reference
