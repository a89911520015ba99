// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "parallel/bucket_plan.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace trireme::parallel {

/// Buckets by units: parameters that come and go together.
struct UnitPlan {
  /// Of whole buckets that have memory only while they are under way, so many at a time: one is written while another one is reduced, and
  /// those beside that stay open.
  std::size_t buffers() const { return 2 + most_open; }

  BucketPlan buckets;
  std::size_t units = 0;
  std::vector<std::size_t> unit_of;  ///< per parameter; of those in no bucket no_unit
  /// Buckets between whose first and last gradient others come and go: a tied embedding's, which backward touches at both ends.
  std::vector<std::size_t> open;
  std::size_t most_open = 0;  ///< of them at a time
};

/// The bytes that buffers() buckets have at most: those that stay open and the two largest others.
std::size_t most_bytes_under_way(const UnitPlan& plan);

/// Units as DataParallelOptions::units names them, numbered so; behind them each bucket of parameters that are in none.
/// Buckets are in the order of the last parameter of each unit in `order`, where it is complete.
/// Parameters that are not in `order` (row-sparse ones, in no bucket) belong to no unit, whatever names them.
/// Errors: invalid_argument naming the unit to which no parameter belongs, or none that is in a bucket.
UnitPlan plan_units(std::span<const Parameter> parameters, std::span<const std::vector<std::string>> units, Bytes first,
                    Bytes rest, std::span<const std::size_t> order);

}  // namespace trireme::parallel
