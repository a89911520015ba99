// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace trireme::cli {

/// A transformer as the planner sees it: L equal blocks between a table {V, C} with positions {T, C}, used again as the head, and
/// a final norm.
struct ModelSize {
  std::int64_t layers = 4;
  std::int64_t heads = 4;
  std::int64_t channels = 192;
  std::int64_t context = 128;
  std::int64_t vocabulary = 256;
  /// Of a block, those that tensor ranks share: 12 C^2 + 7 C of models::Gpt.
  double shared_weights = 0;
  /// Those that each of them has: norms and the biases behind sums over ranks, 6 C.
  double whole_weights = 0;

  double table() const { return static_cast<double>(vocabulary) * static_cast<double>(channels); }
  double positions() const { return static_cast<double>(context) * static_cast<double>(channels); }
  double final_norm() const { return 2 * static_cast<double>(channels); }
  double parameters() const {
    return static_cast<double>(layers) * (shared_weights + whole_weights) + table() + positions() + final_norm();
  }
};

/// models::Gpt of these sizes.
/// Errors: invalid_argument when heads does not divide channels.
ModelSize gpt_size(std::int64_t layers, std::int64_t heads, std::int64_t channels, std::int64_t context,
                   std::int64_t vocabulary);
/// A model of that many parameters altogether, whose blocks share out what is beside the table, positions and final norm.
/// Errors: invalid_argument when those alone are more, or leave less than 6 C for a block.
ModelSize model_of(double parameters, std::int64_t layers, std::int64_t heads, std::int64_t channels,
                   std::int64_t context, std::int64_t vocabulary);

}  // namespace trireme::cli
