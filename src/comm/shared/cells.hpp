// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "comm/shared/flags.hpp"
#include "trireme/transport/arena.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace trireme::comm::shared {

/// What a rank knows of its peers' cells of one communicator; the own one is among them.
struct Peers {
  std::vector<Cell*> cells;
  std::vector<const transport::ArenaDirectory*> directories;  ///< of the arenas the cells lie in; null for the own one
};

/// The cells of one World's communicators in its arena. A communicator may be gone here while a slower rank still reads
/// what its cell said last: such a cell is used again later. Its memory stays a cell for as long as the world lives, since
/// a peer that has not looked yet may still load its flags. Under the progress lock.
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
  /// The communicator of `key` has gone after `operations` operations.
  void retire(std::uint64_t key, Cell& cell, Peers peers, std::uint64_t operations);
  /// The links have ended, and with them the mappings of the peers' arenas: from now on nothing is looked at there.
  void forget_peers() noexcept { peers_are_mapped_ = false; }

 private:
  struct Retired {
    std::uint64_t key;
    Cell* cell;
    Peers peers;
    std::uint64_t operations;
  };
  static bool left_alone(const Retired& retired) noexcept;
  void sweep();

  std::shared_ptr<transport::Arena> arena_;
  std::vector<Retired> retired_;
  std::vector<Cell*> free_;
  bool peers_are_mapped_ = true;
};

}  // namespace trireme::comm::shared
