// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "parallel/fold_memory.hpp"
#include "parallel/leaf_pass.hpp"

#include <cstddef>

namespace trireme::parallel {

/// Where one gradient is folded: level 0 of the stack, and how far apart the levels lie.
struct FoldPlace {
  std::byte* first = nullptr;
  std::size_t level_bytes = 0;
  std::size_t count = 0;
  DType dtype = DType::f32;
  std::byte* level(int index) const { return first + level_bytes * static_cast<std::size_t>(index); }
};

/// Puts A(g * A(weight)) of a leaf on the stack at `place` and completes the sums that end with it. A leaf of weight 0 puts
/// the identity there, one that is not ready (`source` null) a zero.
/// Shape: the source may lie in the level that is written.
void fold_leaf(FoldMemory& memory, const FoldPlace& place, const FoldedLeaf& leaf, const TensorView* source);

}  // namespace trireme::parallel
