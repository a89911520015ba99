// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/request.hpp"
#include "trireme/layout/interval.hpp"
#include "trireme/layout/reduction_tree.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace trireme::comm::shared {

/// The ranks of a communicator in groups of equal size, each behind one last-level cache: group g holds the ranks from
/// g * size on; a rank's place is its index in its group.
struct Groups {
  std::size_t count = 0;
  std::size_t size = 0;
  friend bool operator==(Groups, Groups) = default;
};

/// The groups that the ranks' cache domains make (`domains`: one per rank, negative: unknown), or nothing, and in either
/// case why, in words. They must be two or more, of two or more consecutive ranks each, equally many.
struct GroupChoice {
  std::optional<Groups> groups;
  std::string why;
};
GroupChoice groups_of(std::span<const int> domains);

/// The contracted tree in two levels: what one group adds, and what is added of the groups' partial results. Postfix
/// programs over places and over groups.
struct TwoLevels {
  std::vector<std::int16_t> within;
  std::vector<std::int16_t> across;
};

/// The levels as `group` sees them; nothing where some group is no subtree of `tree`, so that its partial result has no
/// place in the canonical brackets.
std::optional<TwoLevels> two_levels(const layout::ReductionTree& tree, Groups groups, std::size_t group);

/// Whether a partial result can lie in an output without being rounded: input, output and what values are added in are of
/// one type.
bool keeps_partials(const Request& request);

/// Whether an all_reduce goes by groups when its memory is in the arena, and why, to stand behind other words; empty of
/// other collectives.
std::string describe_groups(const GroupChoice& choice, std::size_t from_bytes, const Request& request);

/// Ranks first, first + step, ...
struct RankRow {
  std::size_t first = 0;
  std::size_t step = 1;
  std::size_t count = 0;
  std::size_t operator[](std::size_t i) const { return first + i * step; }
};

/// The ranks of `rank`'s group.
constexpr RankRow neighbours(Groups groups, std::size_t rank) {
  return {rank / groups.size * groups.size, 1, groups.size};
}
/// The ranks of its place in every group.
constexpr RankRow counterparts(Groups groups, std::size_t rank) {
  return {rank % groups.size, groups.size, groups.count};
}

/// One stage of an all_reduce by groups, for one rank: elements `range` of the memory of ranks `from` are read, those of
/// ranks `to` written.
struct Reach {
  RankRow from;
  RankRow to;
  layout::Interval range;
};

/// Of `count` elements of `element` bytes: each rank's part lies at whole cache lines, and its share of it too.
/// Traffic: of n bytes a rank reads and writes 2 (n / size) (count - 1) / count in other groups, in `combine_reach` alone.
Reach reduce_reach(Groups groups, std::size_t rank, std::size_t count, std::size_t element);
Reach combine_reach(Groups groups, std::size_t rank, std::size_t count, std::size_t element);
Reach spread_reach(Groups groups, std::size_t rank, std::size_t count, std::size_t element);

}  // namespace trireme::comm::shared
