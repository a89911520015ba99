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
  BucketPlan buckets;
  std::size_t units = 0;
  std::vector<std::size_t> unit_of;  ///< per parameter; of those in no bucket no_unit
};

/// Units as DataParallelOptions::units names them, numbered so; behind them each bucket of parameters that are in none.
/// Buckets are in the order of the last parameter of each unit in `order`, where it is complete.
/// Errors: invalid_argument naming the unit to which no parameter belongs.
UnitPlan plan_units(std::span<const Parameter> parameters, std::span<const std::vector<std::string>> units, Bytes first,
                    Bytes rest, std::span<const std::size_t> order);

}  // namespace trireme::parallel
