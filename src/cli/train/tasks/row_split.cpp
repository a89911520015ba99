// SPDX-License-Identifier: Apache-2.0
#include "cli/train/tasks/held_out.hpp"
#include "cli/train/tasks/table_task.hpp"
#include "trireme/data/random.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace trireme::cli {
namespace {

constexpr std::uint64_t split_stream = 0x68656c64u;

}  // namespace

RowSplit split_rows(std::size_t rows, double held_out) {
  const std::size_t count = held_out_of(rows, held_out);
  RowSplit split;
  split.training.resize(rows);
  std::iota(split.training.begin(), split.training.end(), std::uint32_t{0});
  if (count == 0) return split;
  // The rows with the smallest numbers are held out; of two equal ones the first.
  std::vector<std::pair<std::uint64_t, std::uint32_t>> drawn;
  drawn.reserve(rows);
  for (const std::uint32_t row : split.training) drawn.emplace_back(data::splitmix64_at(split_stream, row), row);
  std::nth_element(drawn.begin(), drawn.begin() + static_cast<std::ptrdiff_t>(count), drawn.end());
  std::vector<bool> is_held_out(rows);
  for (std::size_t i = 0; i < count; ++i) is_held_out[drawn[i].second] = true;
  split.training.clear();
  for (std::uint32_t row = 0; row < rows; ++row) (is_held_out[row] ? split.held_out : split.training).push_back(row);
  return split;
}

}  // namespace trireme::cli
