// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/bytes.hpp"
#include "trireme/base/parameter.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace trireme::parallel {

/// Gradients of one accumulator type that travel together: a contiguous range of the gradient arena.
struct Bucket {
  DType dtype = DType::f32;
  std::vector<std::size_t> parameters;
  std::size_t begin_bytes = 0;  ///< in the arena
  std::size_t count = 0;        ///< elements, padding between parameters included
};

/// Where each parameter's gradient lies.
struct GradientPlace {
  std::size_t bucket = 0;
  std::size_t begin_bytes = 0;  ///< in the arena
  std::size_t count = 0;
  DType dtype = DType::f32;  ///< the accumulator type
};

struct BucketPlan {
  std::vector<Bucket> buckets;        ///< in the order in which they are reduced
  std::vector<GradientPlace> places;  ///< per parameter; of those in no bucket it says nothing
  std::size_t size_bytes = 0;         ///< of one copy of all gradients
};

/// Indices of parameters from the last to the first, about the order in which backward finishes them, without those flagged.
std::vector<std::size_t> reverse_order(const std::vector<bool>& left_out);

/// Of plan_buckets(): the parameter is in no unit.
inline constexpr std::size_t no_unit = static_cast<std::size_t>(-1);

/// Parameters in `order`, which may be some of them, filled into buckets of at most `first` (the first one, if that is less than `rest`) and `rest` bytes;
/// a larger parameter has a bucket to itself. Every gradient starts on a cache line of its own, so any order takes as many
/// bytes. Those of one unit (`unit_of` each parameter; empty: none), which stand together in `order`, have a bucket to themselves, however
/// large, one for each accumulator type.
BucketPlan plan_buckets(std::span<const Parameter> parameters, Bytes first, Bytes rest,
                        std::span<const std::size_t> order, std::span<const std::size_t> unit_of = {});
/// All, in reverse order.
BucketPlan plan_buckets(std::span<const Parameter> parameters, Bytes first, Bytes rest);

/// "bucket 3 name..": how errors and traces name each.
std::vector<std::string> bucket_labels(const BucketPlan& plan, std::span<const Parameter> parameters);

/// Each gradient that is in a bucket to its place in `memory`, which holds plan.size_bytes.
/// Shape: gradients are of their accumulator types; memory and values in one place, the host or a device.
void place_gradients(std::span<Parameter> parameters, const BucketPlan& plan, std::span<std::byte> memory);

}  // namespace trireme::parallel
