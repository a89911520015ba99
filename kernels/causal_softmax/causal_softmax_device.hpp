// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/device/runtime.hpp"

#include <cstddef>
#include <vector>

// The functions of causal_softmax.hpp on device memory, with the same bits, of any number of matrices at once: they lie one
// behind the other. They give the work to the queue and return.
namespace trireme::kernels {

/// Shape: values matrices x length x length.
/// Cost:  eight threads per row.
template <class T>
void causal_softmax(T* values, std::size_t matrices, std::size_t length, T scale, device::Queue queue);
template <class T>
void causal_softmax_backward(T* gradient, const T* weights, std::size_t matrices, std::size_t length, T scale,
                             device::Queue queue);

/// Appends the kernels of this folder, for Runtime::load().
void causal_softmax_kernels(std::vector<const device::KernelEntry*>& kernels);

}  // namespace trireme::kernels
