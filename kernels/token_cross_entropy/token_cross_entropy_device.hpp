// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/token_cross_entropy/token_cross_entropy.hpp"
#include "trireme/device/runtime.hpp"

#include <vector>

namespace trireme::kernels {

/// The function of token_cross_entropy.hpp on device memory, with the same bits. It gives the work to the queue and returns.
/// Cost: a block of threads per row; the eight lanes of a row's sum are a chain of additions each, which is its latency.
template <class T>
void token_cross_entropy(const TokenCrossEntropyCall<T>& call, device::Queue queue);

/// Appends the kernels of this folder, for Runtime::load().
void token_cross_entropy_kernels(std::vector<const device::KernelEntry*>& kernels);

}  // namespace trireme::kernels
