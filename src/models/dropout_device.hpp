// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "models/dropout.hpp"
#include "trireme/device/runtime.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace trireme::models {

/// Dropout::apply() on device memory: the same masks, the same bits. Gives the work to the queue and returns.
void apply(const Dropout& dropout, float* values, std::size_t rows, std::size_t count, std::uint32_t site,
           device::Queue queue);

/// Dropout::amplify() on device memory.
void amplify(const Dropout& dropout, float* values, std::size_t count, device::Queue queue);

/// Appends its kernels, for Runtime::load().
void dropout_kernels(std::vector<const device::KernelEntry*>& kernels);

}  // namespace trireme::models
