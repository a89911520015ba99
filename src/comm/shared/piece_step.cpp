// SPDX-License-Identifier: Apache-2.0
// What the tier does with memory too large for the slots: piece by piece where it passes through the staging, in one where
// all is in the arena.
#include "comm/operation.hpp"
#include "comm/shared/contribution.hpp"
#include "comm/shared/tier.hpp"

#include <algorithm>
#include <cstring>

namespace trireme::comm::shared {
namespace {

using plan::Collective;

std::size_t round_up(std::size_t value, std::size_t unit) { return (value + unit - 1) / unit * unit; }

}  // namespace

Sight Tier::sight(std::size_t rank, const Run& run, std::uint64_t piece) noexcept {
  const Request& request = run.operation->request;
  if (!shows_memory(request, rank)) return {};
  const std::size_t in = input_size(request);
  const std::size_t out = size_of(request.output.dtype);
  const auto range = range_of(run, piece);
  const bool blocks = has_blocks(request);
  const bool written = is_written(request, rank);
  const auto& slot = flags_->slot(rank, run.number);
  if (slot.word[0] == foreign) {
    auto* staging = flags_->cell(rank).staging[piece % pieces].data();
    // Where types differ the results have a place of their own behind the contributions.
    const std::size_t behind = in != out ? round_up(run.piece_count * in, 64) : 0;
    return {staging + (blocks ? rank_ * range.size() * in : 0), written ? staging + behind : nullptr};
  }
  const std::size_t block = blocks ? block_of(request, rank_).begin : 0;
  const auto base = [&](std::uint64_t offset, std::size_t bytes) -> std::byte* {
    if (offset == foreign) return nullptr;
    return rank == rank_ ? cells_->arena().base() + offset : endpoint_.peer_memory(members_[rank], offset, bytes);
  };
  Sight sight;
  if (const auto* memory = base(slot.word[0], contribution_bytes(request, rank)))
    sight.input = memory + (block + range.begin) * in;
  if (written) {
    if (auto* memory = base(slot.word[1], written_bytes(request))) sight.output = memory + range.begin * out;
  }
  return sight;
}

Sight Tier::own_sight(const Run& run, std::uint64_t piece) const noexcept {
  const Request& request = run.operation->request;
  const auto range = range_of(run, piece);
  if (!shows_memory(request, rank_)) return {};
  const std::size_t block = has_blocks(request) ? block_of(request, rank_).begin : 0;
  Sight sight{contribution(request) + (block + range.begin) * input_size(request), nullptr};
  if (is_written(request, rank_))
    sight.output = static_cast<std::byte*>(request.output.data) + range.begin * size_of(request.output.dtype);
  return sight;
}

layout::Interval Tier::range_of(const Run& run, std::uint64_t piece) const noexcept {
  const std::size_t begin = static_cast<std::size_t>(piece - run.stages.first) * run.piece_count;
  return {begin, std::min(begin + run.piece_count, elements_of_block(run.operation->request))};
}

struct Tier::PieceJob {
  Tier& tier;
  Run& run;
  const Request& request;

  /// What others combine goes into the staging; the own part is read and written where the caller has it.
  void fill(std::uint64_t piece) const noexcept {
    if (!run.staged || (run.first_filled && piece == run.stages.first)) return;
    const auto range = tier.range_of(run, piece);
    const std::size_t in = input_size(request);
    auto* staging = tier.own_->staging[piece % pieces].data();
    const std::byte* source = contribution(request);
    switch (request.collective) {
      case Collective::all_reduce:
      case Collective::reduce:
        for_foreign_parts(range, [&](layout::Interval part) {
          std::memcpy(staging + part.begin * in, source + (range.begin + part.begin) * in, part.size() * in);
        });
        return;
      case Collective::reduce_scatter:
      case Collective::scatter:
      case Collective::all_to_all:
        for (std::size_t b = 0; b < tier.members_.size(); ++b) {
          if (b == tier.rank_) continue;
          const auto part = part_of_block(request, b, range);
          if (part.size() == 0) continue;
          std::memcpy(staging + b * range.size() * in, source + (block_of(request, b).begin + part.begin) * in,
                      part.size() * in);
        }
        return;
      default: {
        const auto part = part_of_block(request, tier.rank_, range);
        if (part.size() != 0) std::memcpy(staging, source + part.begin * in, part.size() * in);
      }
    }
  }
  void combine(std::uint64_t piece) const noexcept {
    for (std::size_t r = 0; r < tier.members_.size(); ++r)
      tier.sights_[r] = r == tier.rank_ ? tier.own_sight(run, piece) : tier.sight(r, run, piece);
    tier.work_.piece(request, tier.sights_, tier.rank_, tier.range_of(run, piece), run.divisor,
                     static_cast<std::byte*>(request.output.data));
  }
  void take_out(std::uint64_t piece) const noexcept {
    const auto range = tier.range_of(run, piece);
    const std::size_t out = size_of(request.output.dtype);
    auto* destination = static_cast<std::byte*>(request.output.data) + range.begin * out;
    const std::byte* results = tier.sight(tier.rank_, run, piece).output;
    for_foreign_parts(range, [&](layout::Interval part) {
      std::memcpy(destination + part.begin * out, results + part.begin * out, part.size() * out);
    });
  }
  /// The parts of a piece of a reduction that other ranks combine.
  template <class Each>
  void for_foreign_parts(layout::Interval range, Each each) const noexcept {
    const std::size_t ranks = tier.members_.size();
    const auto mine = part_of(range.size(), size_of(request.output.dtype), ranks, tier.rank_);
    if (mine.begin != 0) each(layout::Interval{0, mine.begin});
    if (mine.end != range.size()) each(layout::Interval{mine.end, range.size()});
  }
  void tell() const noexcept { tier.tell(); }
};

/// Puts the first piece of memory that the others cannot see into the staging, where there is room.
void Tier::fill_first(Run& run) noexcept {
  const Request& request = run.operation->request;
  run.staged = true;
  run.piece_count = staged_count(request, members_.size());
  run.stages = Stages(next_piece_, next_piece_ + 1);
  PieceJob{*this, run, request}.fill(next_piece_);
  run.first_filled = true;
}

bool Tier::piece_step(Run& run) noexcept {
  const bool moved = shared::advance(*flags_, run.stages, PieceJob{*this, run, run.operation->request});
  if (!ended(*flags_, run.stages)) return moved;
  complete(run);
  return true;
}

/// The commonest case, and the one in which every nanosecond counts: an all_reduce in the arena, with nothing before it.
/// False, and nothing done, if it is another; all ranks find the same.
bool Tier::reduce_at_once(Run& run) noexcept {
  if (!flags_->all_allow(run.number)) return false;
  const Request& request = run.operation->request;
  const std::size_t in = request.input.size_bytes(), out = request.output.size_bytes();
  for (std::size_t r = 0; r < members_.size(); ++r) {
    if (r == rank_) {
      sights_[r] = {static_cast<const std::byte*>(request.input.data), static_cast<std::byte*>(request.output.data)};
      continue;
    }
    const auto& word = flags_->slot(r, run.number).word;
    if (word[0] == foreign) return false;
    sights_[r] = {endpoint_.peer_memory(members_[r], word[0], in), endpoint_.peer_memory(members_[r], word[1], out)};
    if (sights_[r].input == nullptr || sights_[r].output == nullptr) return false;
  }
  work_.combine_part(request, sights_, rank_, run.part, run.divisor);
  run.piece_count = request.output.count;
  run.stages = Stages(next_piece_, next_piece_ + 1);
  run.stages.looked_at = true;
  run.stages.ready_before(run.stages.end);
  run.stages.to_combine = run.stages.to_take_out = run.stages.end;
  flags_->reduce(next_piece_++);
  tell();
  return true;
}

}  // namespace trireme::comm::shared
