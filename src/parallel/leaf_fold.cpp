// SPDX-License-Identifier: Apache-2.0
#include "parallel/leaf_fold.hpp"

namespace trireme::parallel {

void fold_leaf(FoldMemory& memory, const FoldPlace& place, const FoldedLeaf& leaf, const TensorView* source) {
  if (leaf.weight == 0.0 || source == nullptr) {
    std::byte* const top = place.level(leaf.below);
    if (leaf.weight == 0.0) {
      memory.fill_identity(top, place.dtype, place.count);
    } else {
      memory.fill_zero(top, place.dtype, place.count);
    }
    if (leaf.combines > 0) memory.add(place.level(leaf.below - 1), top, place.dtype, place.count);
  } else if (leaf.combines == 0) {
    memory.scale(place.level(leaf.below), *source, leaf.weight);
  } else {
    memory.scale_add(place.level(leaf.below - 1), *source, leaf.weight);
  }
  for (int k = 1; k < leaf.combines; ++k)
    memory.add(place.level(leaf.below - 1 - k), place.level(leaf.below - k), place.dtype, place.count);
}

}  // namespace trireme::parallel
