// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "checkpoint/safetensors.hpp"
#include "trireme/checkpoint/manifest.hpp"
#include "trireme/checkpoint/state.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace trireme::checkpoint {

/// What one rank writes of a tensor.
struct PartSlice {
  std::size_t tensor = 0;  ///< its place in the list
  std::size_t first = 0;
  std::size_t count = 0;
  std::size_t begin = 0;  ///< byte of the part's data
};

/// What one rank writes.
struct PartPlan {
  std::vector<PartSlice> slices;  ///< in the order of their bytes; elements of 8 bytes first, so that all are aligned
  std::size_t data_bytes = 0;
};

/// Cuts a state over `ranks`: of tensors that all have, each writes an equal share of the bytes, cut at multiples of 4096
/// elements; of the others its own range.
PartPlan plan_part(std::span<const StateTensor> tensors, int rank, int ranks);

/// Copies a rank's slices next to each other; from devices behind what the stream holds, and waits for that.
/// Shape: `to` has plan.data_bytes.  Errors: device.
void copy_slices(std::span<const StateTensor> tensors, const PartPlan& plan, std::span<std::byte> to,
                 const DeviceAccess& devices);

/// The part's safetensors header. A slice that is not the whole tensor is one-dimensional and named "name@first".
std::vector<std::byte> part_header(std::span<const StateTensor> tensors, const PartPlan& plan,
                                   const Metadata& metadata);

}  // namespace trireme::checkpoint
