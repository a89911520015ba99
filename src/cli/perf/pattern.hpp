// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/dtype.hpp"
#include "trireme/base/op.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace trireme::cli {

/// Contributions whose reduction is known exactly: small integers from a seeded function of (rank, element, iteration),
/// so small that every order of adding gives the same bits in every dtype.
///
/// Element e of iteration i is entry (e + 257 i) mod `period` of a table per rank. The period is a prime, so that a block
/// of a collective that lands at the wrong place is seen, and a table makes filling and checking as fast as copying.
class PerfPattern {
 public:
  static constexpr std::size_t period = 4093;

  PerfPattern(DType dtype, ReduceKind kind, int rank, int ranks);

  /// This rank's contribution. Shape: whole elements.
  void fill(std::span<std::byte> out, std::uint64_t iteration) const noexcept;
  /// How many elements of `result` are not those from element `first` on of the input of `rank`, or of the combination of
  /// all inputs (`everyone`), bit for bit.
  std::size_t wrong(std::span<const std::byte> result, std::uint64_t iteration, int rank,
                    std::size_t first = 0) const noexcept;

 private:
  std::size_t element_;
  int rank_;
  std::vector<std::vector<std::byte>> inputs_;  // per rank
  std::vector<std::byte> combined_;
};

}  // namespace trireme::cli
