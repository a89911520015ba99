// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "comm/shared/groups.hpp"
#include "comm/shared/work.hpp"
#include "kernels/reduce/reduce.hpp"

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace trireme::comm::shared {

/// The stages of an all_reduce by groups, in the canonical brackets: functions of addresses, no flags. `count` elements lie
/// at each Sight; those of the ranks that the stage reaches are looked at.
class GroupedWork {
 public:
  GroupedWork(Groups groups, std::size_t rank)
      : groups_(groups), rank_(rank), sources_(std::max(groups.count, groups.size)) {}

  Groups groups() const noexcept { return groups_; }
  std::size_t rank() const noexcept { return rank_; }

  /// Readies what a reduction over `leaves` needs; the functions below then allocate nothing.
  void prepare(int leaves) { levels_of(leaves); }
  /// Whether the groups are subtrees of the tree over `leaves`.
  bool fits(int leaves) { return levels_of(leaves).has_value(); }

  /// This rank's part, added over its group's inputs, unrounded and undivided, into its own output.
  void reduce(const Request& request, std::span<const Sight> sights, std::size_t count);
  /// This rank's share of that part: the groups' partials combined and divided, into every counterpart's output.
  void combine(const Request& request, std::span<const Sight> sights, std::size_t count, double divisor);
  /// The part, final by now, from its own output to its neighbours'.
  void spread(const Request& request, std::span<const Sight> sights, std::size_t count);

 private:
  struct Known {
    int leaves;
    std::optional<TwoLevels> levels;
  };
  const std::optional<TwoLevels>& levels_of(int leaves);

  Groups groups_;
  std::size_t rank_;
  std::vector<kernels::ReduceSource> sources_;
  std::vector<Known> known_;
};

}  // namespace trireme::comm::shared
