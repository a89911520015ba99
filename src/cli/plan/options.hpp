// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/plan/predict.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace trireme::cli {

/// What `trireme plan` is asked for, checked.
struct PlanOptions {
  PlanSetting setting{};
  std::string optimizer{};
  int micro_batches = 0;  ///< 0: several are tried
  std::size_t rows = 20;  ///< of the table
  std::string json{};     ///< file; empty: none
};

/// K of a rule for weights {4 C, C}, f32 masters of bf16 values included.
double state_bytes(std::string_view optimizer, std::int64_t channels, DType dtype);

/// Nothing: --help was asked for, and printed.
/// Errors: invalid_argument naming the flag that is missing or does not fit.
std::optional<PlanOptions> parse_plan_options(const std::vector<std::string>& arguments);

}  // namespace trireme::cli
