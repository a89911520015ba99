// SPDX-License-Identifier: Apache-2.0
#include "parallel/shard_groups.hpp"

#include "trireme/layout/reduction_tree.hpp"

#include <cstddef>

namespace trireme::parallel {

std::vector<int> leaves_of_groups(int leaves, int ranks, int group_size) {
  const auto blocks = layout::leaf_blocks(leaves, ranks);
  const auto groups = layout::leaf_blocks(leaves, ranks / group_size);
  std::vector<int> counts;
  for (std::size_t g = 0, rank = 0; g < groups.size(); ++g) {
    if (groups[g].count < group_size) return {};
    for (const layout::LeafBlock& inside : layout::leaf_blocks(groups[g].count, group_size)) {
      if (!(blocks[rank++] == layout::LeafBlock{groups[g].first + inside.first, inside.count})) return {};
    }
    counts.push_back(groups[g].count);
  }
  return counts;
}

}  // namespace trireme::parallel
