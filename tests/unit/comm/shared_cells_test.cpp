// SPDX-License-Identifier: Apache-2.0
// When the cell of a communicator that has gone becomes another's.
#include "comm/shared/cells.hpp"

#include <catch2/catch.hpp>

#include <memory>

#include <sys/mman.h>

using namespace trireme;
using comm::shared::Cell;
using comm::shared::Cells;
using comm::shared::Peers;

namespace {

constexpr Bytes reserve{std::uint64_t{64} << 20};
constexpr std::uint64_t key = 5, next_key = 6;
constexpr std::uint64_t operations = 3;

/// A peer of another arena with a cell for the same communicator.
struct Peer {
  std::shared_ptr<transport::Arena> arena = std::make_shared<transport::Arena>(reserve);
  Cells cells{arena};
  Cell* cell = &cells.open(key);
  Peers seen_by(Cell& own) { return {{&own, cell}, {nullptr, &arena->directory()}}; }
};

}  // namespace

TEST_CASE("a cell is used again when every peer has finished the last operation, and not before") {
  Peer peer;
  Cells cells(std::make_shared<transport::Arena>(reserve));
  Cell& cell = cells.open(key);
  cell.finished.store(operations);
  cells.retire(key, cell, peer.seen_by(cell), operations);
  peer.cell->finished.store(operations - 1);
  Cell& other = cells.open(next_key);
  REQUIRE(&other != &cell);
  peer.cell->finished.store(operations);
  Cell& again = cells.open(next_key + 1);
  REQUIRE(&again == &cell);
  REQUIRE(again.finished.load() == 0);  // fresh for its new communicator
  std::uint64_t offset = 0;
  REQUIRE(!cells.arena().directory().find(key, offset));
  REQUIRE(cells.arena().directory().find(next_key + 1, offset));
}

TEST_CASE("a peer whose own cell is another's already has finished") {
  Peer peer;
  Cells cells(std::make_shared<transport::Arena>(reserve));
  Cell& cell = cells.open(key);
  cells.retire(key, cell, peer.seen_by(cell), operations);
  peer.arena->directory().withdraw(key);  // what its counter says belongs to somebody else
  REQUIRE(&cells.open(next_key) == &cell);
}

TEST_CASE("once the links have ended nothing is looked at in the peers' memory") {
  void* memory = ::mmap(nullptr, sizeof(Cell), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  Peer peer;
  Cells cells(std::make_shared<transport::Arena>(reserve));
  Cell& cell = cells.open(key);
  cells.retire(key, cell, {{&cell, static_cast<Cell*>(memory)}, {nullptr, &peer.arena->directory()}}, operations);
  REQUIRE(::munmap(memory, sizeof(Cell)) == 0);
  cells.forget_peers();
  REQUIRE(&cells.open(next_key) != &cell);  // a look would have ended the process
}
