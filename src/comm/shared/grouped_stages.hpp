// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "comm/shared/flags.hpp"
#include "comm/shared/groups.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace trireme::comm::shared {

/// The flags as an all_reduce by groups uses them. Before anything is read, the neighbours have finished what they had
/// announced before (all_come_to): it may be an operation on the same memory, issued ahead. Of each piece a rank
///   partial(k)   has added its part over its group, into its own output     counterparts wait for each other's
///   final(k)     has combined its share of it with its counterparts         counterparts wait for each other's
///   spread(k)    has written its part to its neighbours                     neighbours wait for each other's
/// The first two are the counters `filled` and `reduced` of the other ways: pieces are numbered over all operations, so
/// who waits for either, in whichever way, waits for the same.
/// Why this is enough: a part of a rank's input is read by one neighbour alone, which is also who later writes there; a
/// share of a partial is read by one counterpart alone, likewise. So memory is only ever handed over, never shared.
template <class Atomics>
class GroupedFlags {
 public:
  GroupedFlags(Flags<Atomics>& flags, std::size_t rank, Groups groups)
      : own_(&flags.own()),
        counterparts_(cells(flags, counterparts(groups, rank))),
        neighbours_(cells(flags, neighbours(groups, rank))) {}

  bool all_come_to(std::uint64_t operation) noexcept {
    return all_reached<Atomics>(
        neighbours_, finished_, operation, [](Cell & c) -> auto& { return c.finished; });
  }
  void partial(std::uint64_t piece) noexcept { Atomics::store(own_->filled, piece + 1); }
  bool all_partial(std::uint64_t piece) noexcept {
    return all_reached<Atomics>(
        counterparts_, filled_, piece + 1, [](Cell & c) -> auto& { return c.filled; });
  }
  void final(std::uint64_t piece) noexcept { Atomics::store(own_->reduced, piece + 1); }
  bool all_final(std::uint64_t piece) noexcept {
    return all_reached<Atomics>(
        counterparts_, reduced_, piece + 1, [](Cell & c) -> auto& { return c.reduced; });
  }
  void spread(std::uint64_t piece) noexcept { Atomics::store(own_->spread, piece + 1); }
  bool all_spread(std::uint64_t piece) noexcept {
    return all_reached<Atomics>(
        neighbours_, spread_, piece + 1, [](Cell & c) -> auto& { return c.spread; });
  }

 private:
  static std::vector<Cell*> cells(Flags<Atomics>& flags, RankRow row) {
    std::vector<Cell*> all;
    for (std::size_t i = 0; i < row.count; ++i) all.push_back(&flags.cell(row[i]));
    return all;
  }

  Cell* own_;
  std::vector<Cell*> counterparts_;
  std::vector<Cell*> neighbours_;
  std::uint64_t finished_ = 0, filled_ = 0, reduced_ = 0, spread_ = 0;
};

/// How far an all_reduce by groups is: the next piece of each stage.
struct GroupedStages {
  std::uint64_t end = 0;
  std::uint64_t to_reduce = 0;
  std::uint64_t to_combine = 0;
  std::uint64_t to_spread = 0;

  GroupedStages() = default;
  GroupedStages(std::uint64_t first, std::uint64_t end_piece)
      : end(end_piece), to_reduce(first), to_combine(first), to_spread(first) {}
};

/// Does whatever can be done of `stages` now, the last stages first: what they read is then still in the caches.
/// job.reduce(k), job.combine(k), job.spread(k) do one stage of one piece; job.tell_counterparts() and
/// job.tell_neighbours() wake who may sleep for it. True if anything was done.
template <class Atomics, class Job>
bool advance(GroupedFlags<Atomics>& flags, GroupedStages& stages, Job&& job) {
  bool moved = false;
  for (;;) {
    if (stages.to_spread < stages.to_combine && flags.all_final(stages.to_spread)) {
      job.spread(stages.to_spread);
      flags.spread(stages.to_spread++);
      job.tell_neighbours();
    } else if (stages.to_combine < stages.to_reduce && flags.all_partial(stages.to_combine)) {
      job.combine(stages.to_combine);
      flags.final(stages.to_combine++);
      job.tell_counterparts();
    } else if (stages.to_reduce < stages.end) {
      job.reduce(stages.to_reduce);
      flags.partial(stages.to_reduce++);
      job.tell_counterparts();
    } else {
      return moved;
    }
    moved = true;
  }
}

/// Whether this rank's output is whole and nobody looks at its memory any more.
template <class Atomics>
bool ended(GroupedFlags<Atomics>& flags, const GroupedStages& stages) {
  return stages.to_spread == stages.end && flags.all_spread(stages.end - 1);
}

}  // namespace trireme::comm::shared
