// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/plane_convolution/plane_convolution.hpp"
#include "trireme/device/runtime.hpp"

#include <vector>

// The functions of plane_convolution.hpp on device memory, with the same bits and without room for a padded image. They give
// the work to the queue and return.
namespace trireme::kernels {

template <class T>
void plane_convolution(T* y, PoolPlace* places, const T* x, const T* weight, const T* bias, const PlaneShape& shape,
                       device::Queue queue);
/// Cost: a thread per image and element of the gradient, which walks over the image.
template <class T>
void plane_gradients(T* weights, T* biases, const T* x, const T* dy, const PoolPlace* places, const PlaneShape& shape,
                     device::Queue queue);

/// Appends the kernels of this folder, for Runtime::load().
void plane_convolution_kernels(std::vector<const device::KernelEntry*>& kernels);

}  // namespace trireme::kernels
