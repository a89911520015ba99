// SPDX-License-Identifier: Apache-2.0
// The protocol of the shared-memory tier on the weakest memory C++ allows, over many schedules. A failing seed is named
// and replays.
#include "comm/shared/stages.hpp"
#include "release_acquire.hpp"

#include <catch2/catch.hpp>

#include <memory>
#include <vector>

using namespace trireme;
using comm::shared::Cell;
using comm::shared::Flags;
using comm::shared::may_allow;
using comm::shared::pieces;
using comm::shared::readable_until;
using comm::shared::slots;
using comm::shared::Stages;

namespace {

testing::ReleaseAcquire* memory = nullptr;  // of the schedule being explored

struct ExploredAtomics {
  static std::uint64_t load(const std::atomic<std::uint64_t>& flag) noexcept { return memory->load(&flag); }
  static void store(std::atomic<std::uint64_t>& flag, std::uint64_t value) noexcept { memory->store(&flag, value); }
};

/// Where an operation's memory lies: all_reduce in the arena; all_reduce through the staging; and a collective whose input
/// alone passes through it, such as all_gather; and all_reduce where every other rank stages.
enum class Way { in_place, staged, staged_input, mixed };

/// One operation of the program that all ranks run.
struct Operation {
  bool small = true;
  std::uint64_t pieces = 1;
};

/// A rank as a machine that is stepped: what the tier does, with the accesses to memory in place of the arithmetic.
class Rank {
 public:
  Rank(std::size_t rank, const std::vector<Cell*>& cells, const std::vector<Operation>& program, Way way)
      : rank_(rank),
        program_(&program),
        flags_(static_cast<int>(rank), cells),
        any_staged_(way != Way::in_place),
        way_(way != Way::mixed ? way
             : rank % 2 == 0   ? Way::staged
                               : Way::in_place) {}

  bool done() const { return finished_ == program_->size(); }

  /// Whatever the rank can do now; false if it must wait.
  bool step() {
    bool moved = announce_ahead();
    if (done() || announced_ <= finished_ || !flags_.all_announced(finished_)) return moved;
    const Operation& operation = (*program_)[finished_];
    for (std::size_t r = 0; r < flags_.ranks(); ++r) memory->read(&flags_.slot(r, finished_).identity);
    if (operation.small) {
      finish();
      return true;
    }
    if (!begun_) {
      stages_ = Stages(next_piece_, next_piece_ + operation.pieces);
      stages_.takes_out = way_ == Way::staged;
      stages_.looked_at = way_ == Way::in_place;
      if (flags_.all_allow(finished_)) stages_.ready_before(readable_until(stages_, any_staged_));
      next_piece_ = stages_.end;
      begun_ = true;
    }
    moved |= advance(flags_, stages_, *this);
    if (!ended(flags_, stages_)) return moved;
    finish();
    return true;
  }

  // The job of the stages. Memory of a rank that stages is its staging; of any other, a place per operation that its
  // program writes before the operation and reads after it.
  void fill(std::uint64_t piece) {
    if (filled_first_ && piece == stages_.first) return;
    for (std::size_t part = 0; part < flags_.ranks(); ++part) memory->write(place(rank_, piece, part));
  }
  void combine(std::uint64_t piece) {
    if (way_ == Way::staged_input) {
      for (std::size_t r = 0; r < flags_.ranks(); ++r) memory->read(place(r, piece, 0));
      return;
    }
    for (std::size_t r = 0; r < flags_.ranks(); ++r) memory->read(place(r, piece, rank_));
    for (std::size_t r = 0; r < flags_.ranks(); ++r) memory->write(place(r, piece, rank_));
  }
  void take_out(std::uint64_t piece) {
    for (std::size_t part = 0; part < flags_.ranks(); ++part) memory->read(place(rank_, piece, part));
  }
  void tell() {}

 private:
  bool announce_ahead() {
    bool moved = false;
    while (announced_ < program_->size() && flags_.may_announce(announced_) && memory->pick(3) != 0) {
      comm::shared::Slot& slot = flags_.own_slot(announced_);
      memory->write(&slot.identity);
      // Nothing is under way: the program has written its input. Issued ahead, it may be an earlier one's output.
      const bool readable = may_allow(flags_, announced_ == finished_, way_ == Way::in_place, next_piece_);
      if (readable && !(*program_)[announced_].small) {
        stages_.first = next_piece_;
        filled_first_ = false;
        fill(next_piece_);
        filled_first_ = true;
      }
      flags_.allow(announced_, readable);
      flags_.announce(announced_++);
      moved = true;
    }
    return moved;
  }
  void finish() {
    if (begun_ && way_ == Way::in_place) take_out(stages_.end - 1);  // the program looks at its result
    begun_ = filled_first_ = false;
    flags_.finish(finished_++);
  }
  const void* place(std::size_t rank, std::uint64_t piece, std::size_t part) {
    return flags_.cell(rank).staging[piece % pieces].data() + part;
  }

  std::size_t rank_;
  const std::vector<Operation>* program_;
  Flags<ExploredAtomics> flags_;
  bool any_staged_;
  Way way_;
  Stages stages_{};
  std::uint64_t announced_ = 0;
  std::uint64_t finished_ = 0;
  std::uint64_t next_piece_ = 0;
  bool begun_ = false;
  bool filled_first_ = false;  // with the announcement
};

/// One schedule; empty, or what went wrong.
std::string explore(std::size_t ranks, std::uint64_t seed, Way way) {
  testing::ReleaseAcquire machine(ranks, seed);
  memory = &machine;
  std::vector<std::unique_ptr<Cell>> cells;
  std::vector<Cell*> addresses;
  for (std::size_t r = 0; r < ranks; ++r) {
    cells.push_back(std::make_unique<Cell>());
    addresses.push_back(cells.back().get());
  }
  std::vector<Operation> program;
  for (std::size_t i = 0; i < 2 * slots + 3; ++i) {
    const bool small = machine.pick(3) != 0;
    // Without staging every operation has memory of its own and one piece; the places here stand for it only once each.
    program.push_back({small, way == Way::in_place || way == Way::mixed ? 1 : 1 + machine.pick(2 * pieces)});
  }
  std::vector<Rank> all;
  for (std::size_t r = 0; r < ranks; ++r) all.emplace_back(r, addresses, program, way);
  for (std::size_t idle = 0; machine.complaint().empty();) {
    std::vector<std::size_t> running;
    for (std::size_t r = 0; r < ranks; ++r) {
      if (!all[r].done()) running.push_back(r);
    }
    if (running.empty()) return {};
    const std::size_t rank = running[machine.pick(running.size())];
    machine.turn_to(rank);
    idle = all[rank].step() ? 0 : idle + 1;
    // Any load may be stale, but not for ever: 400 idle turns in a row of fair choices are no bad luck.
    if (idle > 400 * ranks) return "nothing moves any more";
  }
  return machine.complaint();
}

}  // namespace

TEST_CASE("the shared-memory flags hand memory over without a race or a stop on release-acquire memory",
          "[sequential]") {
#ifdef TRIREME_SANITIZED
  constexpr std::uint64_t seeds = 40;  // the machine is simulated: a sanitizer sees one thread
#else
  constexpr std::uint64_t seeds = 150;
#endif
  const Way way = GENERATE(Way::in_place, Way::staged, Way::staged_input, Way::mixed);
  for (std::size_t ranks : {2u, 3u, 4u}) {
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
      const std::string complaint = explore(ranks, seed, way);
      CAPTURE(ranks, seed, static_cast<int>(way));
      REQUIRE(complaint == "");
    }
  }
}

TEST_CASE("the explorer finds a flag that is raised before the memory is written") {
  testing::ReleaseAcquire machine(2, 1);
  std::atomic<std::uint64_t> flag{0};
  int place = 0;
  machine.turn_to(0);
  machine.store(&flag, 1);
  machine.write(&place);
  machine.turn_to(1);
  while (machine.load(&flag) == 0) {
  }
  machine.read(&place);
  REQUIRE(machine.complaint() == "rank 1: a read races with a write");
}

TEST_CASE("the explorer finds a place that is written again before all have read it") {
  testing::ReleaseAcquire machine(2, 1);
  std::atomic<std::uint64_t> flag{0};
  int place = 0;
  machine.turn_to(0);
  machine.write(&place);
  machine.store(&flag, 1);
  machine.turn_to(1);
  while (machine.load(&flag) == 0) {
  }
  machine.read(&place);
  REQUIRE(machine.complaint() == "");
  machine.turn_to(0);
  machine.write(&place);
  REQUIRE(machine.complaint() == "rank 0: a write races with a read");
}
