// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/device/runtime.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

// The functions of embedding.hpp on device memory, with the same bits. They give the work to the queue and return.
namespace trireme::kernels {

template <class T>
void embedding(T* x, const std::uint16_t* tokens, const T* table, const T* positions, std::size_t count,
               std::size_t length, std::size_t channels, device::Queue queue);

/// Cost: a block of threads per position; the one of a token's first position looks for the others among those behind it, in
///       order: no float atomics, and count^2/2 comparisons at worst.
template <class T>
void embedding_backward(T* gradient, const std::uint16_t* tokens, const T* dx, std::size_t count, std::size_t channels,
                        device::Queue queue);

/// Appends the kernels of this folder, for Runtime::load().
void embedding_kernels(std::vector<const device::KernelEntry*>& kernels);

}  // namespace trireme::kernels
