// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "comm/shared/cell.hpp"

#include <algorithm>
#include <limits>
#include <vector>

namespace trireme::comm::shared {

/// The machine's own memory. Another policy lets an explorer see and order every access to a flag.
struct MachineAtomics {
  static std::uint64_t load(const std::atomic<std::uint64_t>& flag) noexcept {
    return flag.load(std::memory_order_acquire);
  }
  static void store(std::atomic<std::uint64_t>& flag, std::uint64_t value) noexcept {
    flag.store(value, std::memory_order_release);
  }
};

/// Whether the counter of each of `cells` has reached `value`. `least` is what they all had when last looked at.
template <class Atomics, class Counter>
bool all_reached(const std::vector<Cell*>& cells, std::uint64_t& least, std::uint64_t value, Counter counter) noexcept {
  if (least >= value) return true;
  std::uint64_t found = std::numeric_limits<std::uint64_t>::max();
  for (Cell* each : cells) {
    const std::uint64_t theirs = Atomics::load(counter(*each));
    if (theirs < value) return false;
    found = std::min(found, theirs);
  }
  least = found;
  return true;
}

/// The flags by which the ranks of a communicator hand memory to each other. One writer per flag, release and acquire
/// only; values grow without end, so a flag read late says no less than it did.
///
/// announce(n)   the slot of operation n is written          all_announced(n)   every rank's is
/// allow(n)      before it: memory may be read from then on  all_allow(n)       every rank has said so, as far as is seen
/// finish(n)     this rank looks at nothing of n any more    slot n + `slots` may be written when all have
/// fill(k)       piece k may be read, if not allowed before  all_filled(k)
/// reduce(k)     this rank's part of piece k is done, and    all_reduced(k)
///               it looks at nothing of piece k any more     piece k + `pieces` may be filled when all have
/// Cost: a question whose answer is known already reads no shared memory.
template <class Atomics>
class Flags {
 public:
  Flags(int rank, std::vector<Cell*> cells) : rank_(static_cast<std::size_t>(rank)), cells_(std::move(cells)) {}

  Cell& own() const noexcept { return *cells_[rank_]; }
  const Cell& cell(std::size_t rank) const noexcept { return *cells_[rank]; }
  Cell& cell(std::size_t rank) noexcept { return *cells_[rank]; }
  std::size_t ranks() const noexcept { return cells_.size(); }
  Slot& own_slot(std::uint64_t operation) const noexcept { return own().slot[operation % slots]; }
  const Slot& slot(std::size_t rank, std::uint64_t operation) const noexcept {
    return cells_[rank]->slot[operation % slots];
  }

  bool may_announce(std::uint64_t operation) noexcept {
    return operation < slots || all_finished(operation - slots + 1);
  }
  void announce(std::uint64_t operation) noexcept { Atomics::store(own_slot(operation).announced, operation + 1); }
  void allow(std::uint64_t operation, bool readable) noexcept {
    Atomics::store(own_slot(operation).readable, readable ? readable_word(operation) : readable_word(operation) + 1);
  }
  /// Once all have announced it.
  bool all_allow(std::uint64_t operation) const noexcept {
    for (Cell* each : cells_) {
      if (Atomics::load(each->slot[operation % slots].readable) != readable_word(operation)) return false;
    }
    return true;
  }
  bool announced(std::size_t rank, std::uint64_t operation) noexcept {
    return Atomics::load(cells_[rank]->slot[operation % slots].announced) > operation;
  }
  bool all_announced(std::uint64_t operation) noexcept {
    if (announced_through_ > operation) return true;
    if (looking_for_ != operation) {
      looking_for_ = operation;
      next_rank_ = 0;
    }
    while (next_rank_ < cells_.size()) {
      if (next_rank_ != rank_ && !announced(next_rank_, operation)) return false;
      ++next_rank_;
    }
    announced_through_ = operation + 1;
    return true;
  }
  bool all_finished(std::uint64_t operations) noexcept {
    return all(
        finished_, operations, [](Cell & c) -> auto& { return c.finished; });
  }
  void finish(std::uint64_t operation) noexcept { Atomics::store(own().finished, operation + 1); }

  void fill(std::uint64_t piece) noexcept { Atomics::store(own().filled, piece + 1); }
  bool all_filled(std::uint64_t piece) noexcept {
    return all(
        filled_, piece + 1, [](Cell & c) -> auto& { return c.filled; });
  }
  void reduce(std::uint64_t piece) noexcept { Atomics::store(own().reduced, piece + 1); }
  bool all_reduced(std::uint64_t piece) noexcept {
    return all(
        reduced_, piece + 1, [](Cell & c) -> auto& { return c.reduced; });
  }

 private:
  /// Grows when the permission is taken back, and with every operation.
  static constexpr std::uint64_t readable_word(std::uint64_t operation) { return 2 * operation + 1; }
  template <class Counter>
  bool all(std::uint64_t& least, std::uint64_t value, Counter counter) noexcept {
    return all_reached<Atomics>(cells_, least, value, counter);
  }

  std::size_t rank_;
  std::vector<Cell*> cells_;
  std::uint64_t announced_through_ = 0;  ///< operations that every rank has announced
  std::uint64_t looking_for_ = std::numeric_limits<std::uint64_t>::max();
  std::size_t next_rank_ = 0;  ///< the first whose announcement of that operation has not been seen
  std::uint64_t finished_ = 0, filled_ = 0, reduced_ = 0;
};

}  // namespace trireme::comm::shared
