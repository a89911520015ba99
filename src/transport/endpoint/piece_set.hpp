// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace trireme::transport {

/// Which pieces of one streamed message have begun to arrive. Pieces lie on a grid (`fault_of`), so two that differ in
/// their number cannot overlap.
/// Cost: no heap call where a message of as many pieces has been before.
class PieceSet {
 public:
  /// Room for messages of up to 1024 pieces (256 MiB).
  PieceSet() { words_.reserve(16); }
  void clear(std::size_t pieces) { words_.assign((pieces + 63) / 64, 0); }
  /// False when it was there already. `piece` is below the number given to clear().
  bool insert(std::size_t piece) noexcept {
    auto& word = words_[piece / 64];
    const std::uint64_t bit = std::uint64_t{1} << piece % 64;
    if ((word & bit) != 0) return false;
    word |= bit;
    return true;
  }

 private:
  std::vector<std::uint64_t> words_;
};

}  // namespace trireme::transport
