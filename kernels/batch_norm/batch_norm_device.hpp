// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/batch_norm/batch_norm.hpp"
#include "trireme/device/runtime.hpp"

#include <cstddef>
#include <vector>

// The functions of batch_norm.hpp on device memory, with the same bits; all pointers are the device's. They give the work to
// the queue and return.
namespace trireme::kernels {

/// Cost: of the sums: a block of threads per 32 columns, which bounds how much of a large device they use.
template <class T>
void column_moments(double* mean, double* squares, const T* x, std::size_t rows, std::size_t columns,
                    device::Queue queue);
template <class T>
void normalise(const NormaliseCall<T>& call, device::Queue queue);
template <class T>
void derivative_sums(const DerivativeSumsCall<T>& call, device::Queue queue);
template <class T>
void normalise_backward(const NormaliseBackwardCall<T>& call, device::Queue queue);

/// Appends the kernels of this folder, for Runtime::load().
void batch_norm_kernels(std::vector<const device::KernelEntry*>& kernels);

}  // namespace trireme::kernels
