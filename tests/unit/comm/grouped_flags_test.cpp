// SPDX-License-Identifier: Apache-2.0
// The protocol of all_reduces by groups, among operations of the other ways, on the weakest memory C++ allows, over many
// schedules. A failing seed is named and replays.
#include "comm/shared/grouped_stages.hpp"
#include "comm/shared/stages.hpp"
#include "release_acquire.hpp"

#include <catch2/catch.hpp>

#include <memory>
#include <vector>

using namespace trireme;
using comm::shared::Cell;
using comm::shared::counterparts;
using comm::shared::Flags;
using comm::shared::GroupedFlags;
using comm::shared::GroupedStages;
using comm::shared::Groups;
using comm::shared::neighbours;
using comm::shared::pieces;
using comm::shared::slots;
using comm::shared::Stages;

namespace {

testing::ReleaseAcquire* explored = nullptr;  // the memory of the schedule being explored

struct WatchedAtomics {
  static std::uint64_t load(const std::atomic<std::uint64_t>& flag) noexcept { return explored->load(&flag); }
  static void store(std::atomic<std::uint64_t>& flag, std::uint64_t value) noexcept { explored->store(&flag, value); }
};

enum class Kind { small, staged, one_level, grouped };
struct Step {
  Kind kind;
  std::uint64_t pieces;
};

/// What the ranks see of each other: flags, and the buffers a program uses in turn. A cell of memory for every share of
/// every part of every piece.
struct Machine {
  static constexpr std::size_t buffers = 3, most_pieces = 4;
  Groups groups;
  bool in_place;
  std::vector<Step> program{};
  std::vector<std::unique_ptr<Cell>> owned{};
  std::vector<Cell*> cells{};
  std::vector<std::vector<char>> memory{};

  std::size_t ranks() const { return groups.count * groups.size; }
  const void* input(std::size_t rank, std::size_t buffer, std::uint64_t piece, std::size_t cell) const {
    return &memory[rank][((buffer * 2) * most_pieces + piece) * ranks() + cell];
  }
  const void* output(std::size_t rank, std::size_t buffer, std::uint64_t piece, std::size_t cell) const {
    if (in_place) return input(rank, buffer, piece, cell);
    return &memory[rank][((buffer * 2 + 1) * most_pieces + piece) * ranks() + cell];
  }
};

/// A rank as a machine that is stepped: what the tier and its caller do, with accesses to memory for the arithmetic.
class Rower {
 public:
  Rower(std::size_t rank, const Machine& machine)
      : rank_(rank),
        machine_(&machine),
        flags_(static_cast<int>(rank), machine.cells),
        grouped_(flags_, rank, machine.groups) {}

  bool done() const { return finished_ == machine_->program.size(); }

  bool step() {
    bool moved = announce_ahead();
    if (done() || announced_ <= finished_ || !flags_.all_announced(finished_)) return moved;
    const Step& now = machine_->program[finished_];
    for (std::size_t r = 0; r < flags_.ranks(); ++r) explored->read(&flags_.slot(r, finished_).identity);
    if (now.kind == Kind::small) return finish();
    if (!begun_) {
      first_ = next_piece_;
      next_piece_ += now.pieces;
      stages_ = Stages(first_, next_piece_);
      stages_.takes_out = now.kind == Kind::staged;
      stages_.looked_at = now.kind == Kind::one_level;
      grouped_stages_ = GroupedStages(first_, next_piece_);
      begun_ = true;
    }
    if (now.kind == Kind::grouped) {
      if (!grouped_.all_come_to(finished_)) return moved;
      moved |= advance(grouped_, grouped_stages_, ByGroups{*this});
      return ended(grouped_, grouped_stages_) ? finish() : moved;
    }
    moved |= advance(flags_, stages_, *this);
    return ended(flags_, stages_) ? finish() : moved;
  }

  // The job of the other ways.
  void fill(std::uint64_t piece) {
    if (kind() != Kind::staged) return;
    for (std::size_t r = 0; r < flags_.ranks(); ++r) explored->write(staging(rank_, piece, r));
  }
  void combine(std::uint64_t piece) {
    for (std::size_t r = 0; r < flags_.ranks(); ++r)
      explored->read(kind() == Kind::staged ? staging(r, piece, rank_) : input(r, piece, rank_));
    for (std::size_t r = 0; r < flags_.ranks(); ++r)
      explored->write(kind() == Kind::staged ? staging(r, piece, rank_) : output(r, piece, rank_));
  }
  void take_out(std::uint64_t piece) {
    for (std::size_t r = 0; r < flags_.ranks(); ++r) explored->read(staging(rank_, piece, r));
  }
  void tell() {}

 private:
  /// The job by groups. Cell p * count + g of a piece is share g of part p.
  struct ByGroups {
    Rower& rower;
    void reduce(std::uint64_t piece) {
      const auto row = neighbours(groups(), rower.rank_);
      for (std::size_t g = 0; g < groups().count; ++g) {
        for (std::size_t i = 0; i < row.count; ++i) explored->read(rower.input(row[i], piece, cell(g)));
        explored->write(rower.output(rower.rank_, piece, cell(g)));
      }
    }
    void combine(std::uint64_t piece) {
      const auto row = counterparts(groups(), rower.rank_);
      const std::size_t mine = cell(rower.rank_ / groups().size);
      for (std::size_t i = 0; i < row.count; ++i) explored->read(rower.output(row[i], piece, mine));
      for (std::size_t i = 0; i < row.count; ++i) explored->write(rower.output(row[i], piece, mine));
    }
    void spread(std::uint64_t piece) {
      const auto row = neighbours(groups(), rower.rank_);
      for (std::size_t g = 0; g < groups().count; ++g) {
        explored->read(rower.output(rower.rank_, piece, cell(g)));
        for (std::size_t i = 0; i < row.count; ++i) {
          if (row[i] != rower.rank_) explored->write(rower.output(row[i], piece, cell(g)));
        }
      }
    }
    void tell_counterparts() {}
    void tell_neighbours() {}

    Groups groups() const { return rower.machine_->groups; }
    std::size_t cell(std::size_t group) const { return rower.rank_ % groups().size * groups().count + group; }
  };

  Kind kind() const { return machine_->program[finished_].kind; }
  bool announce_ahead() {
    bool moved = false;
    const auto& program = machine_->program;
    // A buffer is written again once the operation that used it has ended here.
    while (announced_ < program.size() && announced_ < finished_ + Machine::buffers &&
           flags_.may_announce(announced_) && explored->pick(3) != 0) {
      for_own_cells(announced_, [](const void* in, const void* out) {
        explored->write(in);
        if (out != in) explored->write(out);
      });
      explored->write(&flags_.own_slot(announced_).identity);
      flags_.announce(announced_++);
      moved = true;
    }
    return moved;
  }
  bool finish() {
    for_own_cells(finished_, [](const void*, const void* out) { explored->read(out); });
    // A small one may write what the next, announced ahead, reads: its result is part of a larger tensor.
    if (machine_->program[finished_].kind == Kind::small && announced_ > finished_ + 1) {
      for_own_cells(finished_ + 1, [](const void* in, const void*) { explored->write(in); });
    }
    begun_ = false;
    flags_.finish(finished_++);
    return true;
  }
  template <class Each>
  void for_own_cells(std::uint64_t operation, Each each) {
    const Step& step = machine_->program[operation];
    if (step.kind == Kind::small || step.kind == Kind::staged) return;
    const std::size_t buffer = operation % Machine::buffers;
    for (std::uint64_t piece = 0; piece < step.pieces; ++piece) {
      for (std::size_t cell = 0; cell < flags_.ranks(); ++cell)
        each(machine_->input(rank_, buffer, piece, cell), machine_->output(rank_, buffer, piece, cell));
    }
  }
  const void* input(std::size_t rank, std::uint64_t piece, std::size_t cell) const {
    return machine_->input(rank, finished_ % Machine::buffers, piece - first_, cell);
  }
  const void* output(std::size_t rank, std::uint64_t piece, std::size_t cell) const {
    return machine_->output(rank, finished_ % Machine::buffers, piece - first_, cell);
  }
  const void* staging(std::size_t rank, std::uint64_t piece, std::size_t part) {
    return flags_.cell(rank).staging[piece % pieces].data() + part;
  }

  std::size_t rank_;
  const Machine* machine_;
  Flags<WatchedAtomics> flags_;
  GroupedFlags<WatchedAtomics> grouped_;
  Stages stages_{};
  GroupedStages grouped_stages_{};
  std::uint64_t announced_ = 0, finished_ = 0, next_piece_ = 0, first_ = 0;
  bool begun_ = false;
};

/// One schedule; empty, or what went wrong.
std::string row(Groups groups, std::uint64_t seed, bool in_place) {
  Machine machine{groups, in_place};
  testing::ReleaseAcquire memory(machine.ranks(), seed);
  explored = &memory;
  for (std::size_t r = 0; r < machine.ranks(); ++r) {
    machine.cells.push_back(machine.owned.emplace_back(std::make_unique<Cell>()).get());
    machine.memory.emplace_back(Machine::buffers * 2 * Machine::most_pieces * machine.ranks());
  }
  for (std::size_t i = 0; i < slots + 3; ++i) {
    const auto dice = memory.pick(6);
    const Kind kind = dice < 3 ? Kind::grouped : static_cast<Kind>(dice - 3);
    const std::uint64_t most = kind == Kind::staged ? 2 * pieces : Machine::most_pieces;
    machine.program.push_back({kind, kind == Kind::one_level ? 1 : 1 + memory.pick(most)});
  }
  std::vector<Rower> all;
  for (std::size_t r = 0; r < machine.ranks(); ++r) all.emplace_back(r, machine);
  for (std::size_t idle = 0; memory.complaint().empty();) {
    std::vector<std::size_t> running;
    for (std::size_t r = 0; r < machine.ranks(); ++r) {
      if (!all[r].done()) running.push_back(r);
    }
    if (running.empty()) return {};
    const std::size_t rank = running[memory.pick(running.size())];
    memory.turn_to(rank);
    idle = all[rank].step() ? 0 : idle + 1;
    if (idle > 400 * machine.ranks()) return "nothing moves any more";  // no bad luck: fair choices
  }
  return memory.complaint();
}

}  // namespace

TEST_CASE("all_reduces by groups hand memory over without a race or a stop, among operations of every other way",
          "[sequential]") {
#ifdef TRIREME_SANITIZED
  constexpr std::uint64_t seeds = 12;
#else
  constexpr std::uint64_t seeds = 300;
#endif
  const bool in_place = GENERATE(true, false);
  for (const Groups groups : {Groups{2, 2}, Groups{3, 2}, Groups{2, 3}, Groups{2, 4}}) {
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
      const std::string complaint = row(groups, seed, in_place);
      CAPTURE(groups.count, groups.size, seed, in_place);
      REQUIRE(complaint == "");
    }
  }
}
