// SPDX-License-Identifier: Apache-2.0
#include "cli/perf/zero_copy.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <new>
#include <thread>

#include <unistd.h>

namespace trireme::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t header = 4096;  // a page of its own for the flag
constexpr std::chrono::seconds longest_wait{60};
constexpr unsigned spins_before_yield = 2000;
constexpr std::size_t tile_bytes =
    8 << 10;  // a combined tile is copied to the third output on while it is in the cache

struct Flag {
  std::atomic<std::uint64_t> arrived;
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

Flag& flag_of(const SharedSegment& segment) {
  return *std::launder(reinterpret_cast<Flag*>(segment.bytes().data()));  // zeroed memory is a flag nobody has set
}

void wait_for(const Flag& flag, std::uint64_t round) {
  auto limit = Clock::time_point::max();
  for (unsigned spins = 0; flag.arrived.load(std::memory_order_acquire) < round; ++spins) {
    if (spins < spins_before_yield) {
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
      continue;
    }
    if (limit == Clock::time_point::max()) limit = Clock::now() + longest_wait;
    if (Clock::now() > limit) fail(ErrorCode::timeout, "another rank did not come to the yardstick within a minute");
    std::this_thread::yield();
  }
}

/// The ranks' inputs from left to right.
std::vector<std::int16_t> fold_of(int ranks) {
  std::vector<std::int16_t> program;
  for (int rank = 0; rank < ranks; ++rank) {
    program.push_back(static_cast<std::int16_t>(rank));
    if (rank > 0) program.push_back(-1);
  }
  return program;
}

}  // namespace

ZeroCopy::ZeroCopy(const Communicator& communicator, const Setting& setting)
    : setting_(setting), rank_(communicator.rank()), ranks_(communicator.size()), program_(fold_of(ranks_)) {
  sources_.assign(static_cast<std::size_t>(ranks_), {nullptr, setting.dtype});
  outputs_.reserve(static_cast<std::size_t>(ranks_));
  Communicator peers = communicator;
  const std::size_t size = header + setting.input_bytes + setting.output_bytes;
  SharedSegment own = SharedSegment::make(size);
  const std::array<std::int64_t, 2> mine{::getpid(), own.descriptor()};
  std::vector<std::int64_t> all(2 * static_cast<std::size_t>(ranks_));
  peers.all_gather(std::span<const std::int64_t>(mine), std::span<std::int64_t>(all), {.label = "bound"});
  std::vector<SharedSegment> segments;
  bool mapped = true;
  for (std::size_t at = 0; at < all.size(); at += 2) {
    segments.push_back(SharedSegment::of(static_cast<pid_t>(all[at]), static_cast<int>(all[at + 1]), size));
    mapped = mapped && segments.back().is_mapped();
  }
  const std::array<std::int32_t, 1> mapped_here{mapped ? 1 : 0};
  std::vector<std::int32_t> mapped_anywhere(static_cast<std::size_t>(ranks_));
  peers.all_gather(std::span<const std::int32_t>(mapped_here), std::span<std::int32_t>(mapped_anywhere),
                   {.label = "bound"});  // also: nobody closes what another has still to open
  if (std::count(mapped_anywhere.begin(), mapped_anywhere.end(), 1) == ranks_) segments_ = std::move(segments);
}

ZeroCopy::Range ZeroCopy::input_of(int rank, std::size_t count, std::uint64_t turn) const {
  const std::size_t size = count_of(setting_.operation->input, ranks_) * count * size_of(setting_.dtype);
  return {rank, header + Rotation(size, setting_.rotates).offset(turn), size};
}

ZeroCopy::Range ZeroCopy::output_of(int rank, std::size_t count, std::uint64_t turn) const {
  if (setting_.output_bytes == 0) return input_of(rank, count, turn);
  const std::size_t size = count_of(setting_.operation->output, ranks_) * count * size_of(setting_.dtype);
  return {rank, header + setting_.input_bytes + Rotation(size, setting_.rotates).offset(turn), size};
}

std::span<std::byte> ZeroCopy::at(const Range& range) const {
  return segments_[static_cast<std::size_t>(range.rank)].bytes().subspan(range.offset, range.size);
}

void ZeroCopy::barrier() {
  ++round_;
  flag_of(segments_[static_cast<std::size_t>(rank_)]).arrived.store(round_, std::memory_order_release);
  for (const SharedSegment& segment : segments_) wait_for(flag_of(segment), round_);
}

void ZeroCopy::run(std::size_t count, std::uint64_t turn) {
  barrier();
  if (count == 0) return;
  setting_.operation->reduces ? combine(count, turn) : move(count, turn);
  barrier();
}

void ZeroCopy::combine(std::size_t count, std::uint64_t turn) {
  const PerfOperation& operation = *setting_.operation;
  const bool scattered = operation.input == PerfBlocks::per_rank;
  const std::size_t element = size_of(setting_.dtype), ranks = static_cast<std::size_t>(ranks_);
  const std::size_t part = scattered ? static_cast<std::size_t>(rank_)
                                     : (static_cast<std::size_t>(rank_) + static_cast<std::size_t>(turn)) % ranks;
  const std::size_t total = scattered ? ranks * count : count;
  const std::size_t first = total * part / ranks, end = total * (part + 1) / ranks;

  outputs_.clear();  // where element `first` goes
  for (int rank = 0; rank < ranks_; ++rank) {
    if (scattered ? rank != rank_ : operation.root_only && rank != setting_.root) continue;
    outputs_.push_back(at(output_of(rank, count, turn)).data() + (scattered ? 0 : first * element));
  }
  const std::size_t tile = outputs_.size() > 2 ? tile_bytes / element : end - first;
  for (std::size_t from = first; from < end; from += tile) {
    const std::size_t now = std::min(tile, end - from);
    for (int rank = 0; rank < ranks_; ++rank)
      sources_[static_cast<std::size_t>(rank)].data = at(input_of(rank, count, turn)).data() + from * element;
    const std::size_t offset = (from - first) * element;
    kernels::reduce({.kind = setting_.op.kind,
                     .accumulator = accumulator_of(setting_.dtype),
                     .destination = outputs_[0] + offset,
                     .output = setting_.dtype,
                     .count = now,
                     .sources = sources_,
                     .program = program_,
                     .divisor = setting_.op.kind == ReduceKind::average ? static_cast<double>(ranks_) : 1.0,
                     .also = outputs_.size() > 1 ? outputs_[1] + offset : nullptr});
    for (std::size_t other = 2; other < outputs_.size(); ++other)
      std::memcpy(outputs_[other] + offset, outputs_[0] + offset, now * element);
  }
}

void ZeroCopy::move(std::size_t count, std::uint64_t turn) const {
  const PerfOperation& operation = *setting_.operation;
  const std::size_t size = count * size_of(setting_.dtype);
  const auto copy = [&](int to, int block) {
    const PerfOrigin origin = operation.origin(to, ranks_, setting_.root, block);
    const std::byte* from =
        at(input_of(origin.rank, count, turn)).data() + static_cast<std::size_t>(origin.block) * size;
    std::byte* const into = at(output_of(to, count, turn)).data() + static_cast<std::size_t>(block) * size;
    if (into != from) std::memcpy(into, from, size);
  };
  if (operation.root_only) return copy(setting_.root, rank_);
  const int blocks = static_cast<int>(count_of(operation.output, ranks_));
  for (int i = 0; i < blocks; ++i) copy(rank_, (rank_ + i) % blocks);  // not all from the same rank at once
}

}  // namespace trireme::cli
