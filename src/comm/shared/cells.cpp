// SPDX-License-Identifier: Apache-2.0
#include "comm/shared/cells.hpp"

#include "trireme/base/error.hpp"

#include <string>
#include <utility>

namespace trireme::comm::shared {
namespace {

std::span<std::byte> memory_of(Cell& cell) { return {reinterpret_cast<std::byte*>(&cell), sizeof(Cell)}; }

/// Atomically: a peer may be loading.
void reset(Cell& cell) {
  for (auto* flag : {&cell.finished, &cell.filled, &cell.reduced, &cell.spread})
    flag->store(0, std::memory_order_relaxed);
  for (Slot& slot : cell.slot) slot.announced.store(0, std::memory_order_relaxed);
}

}  // namespace

Cells::~Cells() {
  for (auto& each : retired_) {
    arena_->directory().withdraw(each.key);
    arena_->release(memory_of(*each.cell));
  }
  for (Cell* each : free_) arena_->release(memory_of(*each));
}

Cell& Cells::open(std::uint64_t key) {
  sweep();
  if (free_.empty()) {
    free_.reserve(free_.size() + 1);
    free_.push_back(reinterpret_cast<Cell*>(arena_->allocate(sizeof(Cell)).data()));
  }
  Cell& cell = *free_.back();
  reset(cell);
  const auto offset = static_cast<std::uint64_t>(memory_of(cell).data() - arena_->base());
  if (!arena_->directory().publish(key, offset)) {
    fail(ErrorCode::system, "more than " + std::to_string(transport::ArenaDirectory::capacity) +
                                " communicators of this world are alive; let some go");
  }
  free_.pop_back();
  return cell;
}

void Cells::retire(std::uint64_t key, Cell& cell, Peers peers, std::uint64_t operations) {
  retired_.push_back({key, &cell, std::move(peers), operations});
}

/// Whether every peer has finished the last operation, or has taken its own cell away, which it does only then.
bool Cells::left_alone(const Retired& retired) noexcept {
  for (std::size_t r = 0; r < retired.peers.cells.size(); ++r) {
    const Cell* cell = retired.peers.cells[r];
    const auto* directory = retired.peers.directories[r];
    if (directory == nullptr || cell == nullptr) continue;
    std::uint64_t offset = 0;
    if (MachineAtomics::load(cell->finished) < retired.operations && directory->find(retired.key, offset)) return false;
  }
  return true;
}

void Cells::sweep() {
  if (!peers_are_mapped_) return;
  free_.reserve(free_.size() + retired_.size());
  std::erase_if(retired_, [&](Retired& each) {
    if (!left_alone(each)) return false;
    arena_->directory().withdraw(each.key);  // before the cell becomes another's
    free_.push_back(each.cell);
    return true;
  });
}

}  // namespace trireme::comm::shared
