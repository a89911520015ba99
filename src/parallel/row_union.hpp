// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/communicator.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace trireme::parallel {

/// The rows of one parameter that any rank touched in a step.
/// Threads: one at a time.
class RowUnion {
 public:
  explicit RowUnion(std::size_t rows) : count_(rows), words_((rows + 31) / 32, 0u) {}

  /// `mine`: what this rank touched, ascending and distinct; `touched`: how many each rank has. Collective.
  /// Cost: nothing travels when one rank alone touched more than half of the rows; else, whatever is less, the indices of
  ///       all ranks (4 bytes each) or a bit per row from each. Then a pass over a bit per row.
  void exchange(Communicator& communicator, std::span<const std::uint32_t> mine, std::span<const std::size_t> touched,
                const CallOptions& options);
  void clear();
  /// Every row, without asking.
  void assign_all() { all_ = true; }

  /// More than half of the rows: it is not worth telling them apart; rows() then says nothing.
  bool all() const { return all_; }
  /// Ascending and distinct.
  std::span<const std::uint32_t> rows() const { return rows_; }

 private:
  void mark(std::span<const std::uint32_t> rows);
  void collect();

  std::size_t count_;
  bool all_ = false;
  std::vector<std::uint32_t> words_;  ///< a bit per row; 0 between calls
  std::vector<std::uint32_t> gathered_;
  std::vector<std::uint32_t> rows_;
};

}  // namespace trireme::parallel
