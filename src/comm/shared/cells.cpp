// SPDX-License-Identifier: Apache-2.0
#include "comm/shared/cells.hpp"

#include "trireme/base/error.hpp"

#include <string>
#include <utility>

namespace trireme::comm::shared {

Cells::~Cells() {
  for (auto& each : retired_) release(each.key, *each.cell);
}

Cell& Cells::open(std::uint64_t key) {
  sweep();
  const auto range = arena_->allocate(sizeof(Cell));
  const auto offset = static_cast<std::uint64_t>(range.data() - arena_->base());
  if (!arena_->directory().publish(key, offset)) {
    arena_->release(range);
    fail(ErrorCode::system, "more than " + std::to_string(transport::ArenaDirectory::capacity) +
                                " communicators of this world are alive; let some go");
  }
  return *reinterpret_cast<Cell*>(range.data());
}

void Cells::retire(std::uint64_t key, Cell& cell, std::unique_ptr<Flags<MachineAtomics>> flags,
                   std::uint64_t operations) {
  retired_.push_back({key, &cell, std::move(flags), operations});
}

void Cells::sweep() noexcept {
  std::erase_if(retired_, [&](Retired& each) {
    if (each.flags && !each.flags->all_finished(each.operations)) return false;
    release(each.key, *each.cell);
    return true;
  });
}

void Cells::release(std::uint64_t key, Cell& cell) noexcept {
  arena_->directory().withdraw(key);
  arena_->release({reinterpret_cast<std::byte*>(&cell), sizeof(Cell)});
}

}  // namespace trireme::comm::shared
