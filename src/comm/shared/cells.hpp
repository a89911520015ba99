// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "comm/shared/flags.hpp"
#include "trireme/transport/arena.hpp"

#include <memory>
#include <vector>

namespace trireme::comm::shared {

/// The cells of one World's communicators in its arena. A communicator may be gone here while a slower rank still reads
/// what its cell said last: such a cell is given back later. Under the progress lock.
class Cells {
 public:
  explicit Cells(std::shared_ptr<transport::Arena> arena) : arena_(std::move(arena)) {}
  ~Cells();
  Cells(const Cells&) = delete;
  Cells& operator=(const Cells&) = delete;

  transport::Arena& arena() const { return *arena_; }
  /// A fresh cell, listed for the peers under `key`.
  /// Errors: system when the arena or its directory is full.
  Cell& open(std::uint64_t key);
  /// The communicator of `key` has gone after `operations` operations; `flags` is null if it never met its peers.
  void retire(std::uint64_t key, Cell& cell, std::unique_ptr<Flags<MachineAtomics>> flags, std::uint64_t operations);

 private:
  struct Retired {
    std::uint64_t key;
    Cell* cell;
    std::unique_ptr<Flags<MachineAtomics>> flags;
    std::uint64_t operations;
  };
  void release(std::uint64_t key, Cell& cell) noexcept;
  void sweep() noexcept;

  std::shared_ptr<transport::Arena> arena_;
  std::vector<Retired> retired_;
};

}  // namespace trireme::comm::shared
