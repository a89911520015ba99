// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/layer_norm/layer_norm.hpp"
#include "trireme/device/runtime.hpp"

#include <vector>

// The functions of layer_norm.hpp on device memory, with the same bits. They give the work to the queue and return.
namespace trireme::kernels {

/// Cost: eight threads per row; a row is read three times, twice of them where it was just now.
template <class T>
void layer_norm(const LayerNormCall<T>& call, device::Queue queue);
template <class T>
void layer_norm_backward(const LayerNormBackwardCall<T>& call, device::Queue queue);

/// Appends the kernels of this folder, for Runtime::load().
void layer_norm_kernels(std::vector<const device::KernelEntry*>& kernels);

}  // namespace trireme::kernels
