// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/contribution.hpp"
#include "trireme/base/dtype.hpp"
#include "trireme/layout/reduction_tree.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace trireme::ps {

/// What a key's elements are: rows of `columns` elements, of a tensor that is not row-sparse rows of one element.
struct KeyShape {
  DType dtype = DType::f32;  ///< of the sum
  std::size_t first_row = 0;
  std::size_t rows = 0;
  std::size_t columns = 1;
  std::size_t count() const { return rows * columns; }
  std::size_t bytes() const { return count() * size_of(dtype); }
  std::size_t row_bytes() const { return columns * size_of(dtype); }
};

/// sum of w over ranks, in f64, in the brackets of the tree.
double total_weight(const Contributions& contributions, const layout::ReductionTree& tree);
/// Ranks that had a gradient on leaves of some weight.
std::uint32_t used_by(const Contributions& contributions);

/// The rows that any contribution has, ascending; nothing is worth telling apart (`all`) where one is dense, or they are more
/// than half of all.
struct TouchedRows {
  bool all = true;
  std::vector<std::uint32_t> rows{};
};
TouchedRows touched_rows(const Contributions& contributions, const KeyShape& shape);

/// destination = (the tree's sum of contributions) / divisor, over all rows of the key, or of `rows` one after the other: the bits
/// of all-reduce. A contribution without payload counts as +0, with weight 0 as -0, the identity; so does an absent one.
/// Rows that no contribution has are +0 then.
/// Shape: divisor is not 0; the destination may be a payload of the contributions, if that is dense.
void mean_of(const Contributions& contributions, const layout::ReductionTree& tree, const KeyShape& shape,
             const TouchedRows& touched, double divisor, std::byte* destination);

/// Lays packed rows out among others: all of the key's, or `among`. The others are filled with +0, or -0.
void lay_out(std::span<const std::byte> packed, std::span<const std::uint32_t> rows, const KeyShape& shape,
             const TouchedRows& among, bool identity, std::byte* memory);

}  // namespace trireme::ps
