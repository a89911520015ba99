// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/parameter.hpp"
#include "trireme/comm/communicator.hpp"
#include "trireme/data/distributed_sampler.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace trireme::parallel {

/// Refuses a list no rank could train with. `with_gradients`: gradients have memory; else only type and count are read, but
/// of row-sparse parameters (a flag each), whose gradients have memory or none. `with_values`: so have values.
/// All lie in host memory, or all on `device`, where nothing is row-sparse.
/// Errors: invalid_argument naming the parameter: a name twice or empty, counts that differ from the shape's, null
///         memory, value and gradient in one place, a row-sparse one without rows, memory in different places; unsupported:
///         dtypes other than f32, f64, f16 and bf16, device memory in a world without a device, row-sparse on a device, without
///         `with_values` values that stay where they are.
void check_parameters(std::span<const Parameter> parameters, const std::vector<bool>& row_sparse, bool with_gradients,
                      bool with_values, std::optional<Device> device);

/// Whether values come without memory: all of them or none.  Errors: invalid_argument naming one that does and one that does not.
bool are_values_elsewhere(std::span<const Parameter> parameters);

/// Compares the lists (names, shapes, dtypes, order, which are row-sparse) and `settings` of all ranks. Collective.
/// Errors: mismatch, the same on every rank, naming the first difference and both sides.
void compare_parameters(Communicator& communicator, std::span<const Parameter> parameters,
                        const std::vector<bool>& row_sparse, const std::string& settings);

/// Compares what the ranks' samplers are made of and where they stand. Collective.
/// Errors: mismatch, the same on every rank, naming both sides.
void compare_samplers(Communicator& communicator, const data::SamplerState& state);

/// Every value becomes rank 0's; on a device behind what `stream` holds. Collective.
void broadcast_values(Communicator& communicator, std::span<const Parameter> parameters, Stream stream);

}  // namespace trireme::parallel
