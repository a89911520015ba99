// SPDX-License-Identifier: Apache-2.0
// Many arrays of any sizes in one launch: the list of them travels with the launch, and blocks take equal parts.
#pragma once

#include "device/kernel.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>

namespace trireme::kernels::on_device {

/// Up to `capacity` pieces, each cut into parts; the parts of all of them are numbered through.
template <class Piece, unsigned most>
struct PieceList {
  static constexpr unsigned capacity = most;
  Piece piece[most];
  std::uint32_t end[most];  ///< parts of the pieces up to this one
  unsigned size = 0;

  /// Returns: false when there is no room for it.
  bool add(const Piece& added, std::size_t parts) {
    const std::size_t before = parts_in_all();
    if (size == most || parts > std::size_t{std::numeric_limits<std::int32_t>::max()} - before) return false;
    piece[size] = added;
    end[size++] = static_cast<std::uint32_t>(before + parts);
    return true;
  }
  unsigned parts_in_all() const { return size == 0 ? 0 : end[size - 1]; }

  struct Part {
    unsigned piece;
    std::uint32_t part;  ///< within its piece
  };
  /// Shape: part < parts_in_all().
  TRIREME_DEVICE Part find(std::uint32_t part) const {
    unsigned low = 0, high = size - 1;
    while (low < high) {
      const unsigned middle = (low + high) / 2;
      if (end[middle] > part) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return {low, part - (low == 0 ? 0u : end[low - 1])};
  }
};

}  // namespace trireme::kernels::on_device
