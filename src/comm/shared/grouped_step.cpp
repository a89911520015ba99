// SPDX-License-Identifier: Apache-2.0
// The tier's all_reduce by groups.
#include "comm/operation.hpp"
#include "comm/shared/tier.hpp"

#include <algorithm>

namespace trireme::comm::shared {
namespace {

/// A rank's part of a piece: its partial result is in the second-level cache when the counterparts come for it.
constexpr std::size_t part_bytes = 128 * 1024;

}  // namespace

void Tier::use_groups(Groups groups, std::size_t from_bytes) {
  grouped_ = std::make_unique<Grouped>(groups, rank_, from_bytes);
}

void Tier::settle_grouped(Run& run) noexcept {
  const Request& request = run.operation->request;
  const std::size_t count = request.output.count;
  run.by_groups = true;
  run.piece_count = part_bytes / size_of(request.output.dtype) * grouped_->work.groups().size;
  run.stages = Stages(next_piece_, next_piece_ + (count + run.piece_count - 1) / run.piece_count);
  run.grouped = GroupedStages(run.stages.first, run.stages.end);
  next_piece_ = run.stages.end;
}

struct Tier::GroupedJob {
  Tier& tier;
  Run& run;
  const Request& request;

  void reduce(std::uint64_t piece) const noexcept {
    look(piece, neighbours(work().groups(), tier.rank_));
    work().reduce(request, tier.sights_, size(piece));
  }
  void combine(std::uint64_t piece) const noexcept {
    look(piece, counterparts(work().groups(), tier.rank_));
    work().combine(request, tier.sights_, size(piece), run.divisor);
  }
  void spread(std::uint64_t piece) const noexcept {
    look(piece, neighbours(work().groups(), tier.rank_));
    work().spread(request, tier.sights_, size(piece));
  }
  void tell_counterparts() const noexcept { tell(counterparts(work().groups(), tier.rank_)); }
  void tell_neighbours() const noexcept { tell(neighbours(work().groups(), tier.rank_)); }

 private:
  GroupedWork& work() const noexcept { return tier.grouped_->work; }
  std::size_t size(std::uint64_t piece) const noexcept { return tier.range_of(run, piece).size(); }
  void look(std::uint64_t piece, RankRow row) const noexcept {
    for (std::size_t i = 0; i < row.count; ++i) {
      const std::size_t r = row[i];
      tier.sights_[r] = r == tier.rank_ ? tier.own_sight(run, piece) : tier.sight(r, run, piece);
    }
  }
  void tell(RankRow row) const noexcept {
    for (std::size_t i = 0; i < row.count; ++i) {
      if (row[i] != tier.rank_) tier.endpoint_.nudge(tier.members_[row[i]]);
    }
  }
};

bool Tier::grouped_step(Run& run) noexcept {
  if (!grouped_->flags->all_come_to(run.number)) return false;
  const bool moved = shared::advance(*grouped_->flags, run.grouped, GroupedJob{*this, run, run.operation->request});
  if (!ended(*grouped_->flags, run.grouped)) return moved;
  complete(run);
  return true;
}

bool Grouped::lacks(std::size_t r, const Cell& cell, std::uint64_t operation,
                    const GroupedStages& stages) const noexcept {
  const std::size_t size = work.groups().size, rank = work.rank();
  const auto load = [](const std::atomic<std::uint64_t>& flag) { return MachineAtomics::load(flag); };
  if (r / size == rank / size && load(cell.finished) < operation) return true;
  if (r % size == rank % size) {
    if (stages.to_combine < stages.to_reduce && load(cell.filled) <= stages.to_combine) return true;
    if (stages.to_spread < stages.to_combine && load(cell.reduced) <= stages.to_spread) return true;
  }
  return r / size == rank / size && stages.to_spread == stages.end && load(cell.spread) < stages.end;
}

}  // namespace trireme::comm::shared
