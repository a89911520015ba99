// SPDX-License-Identifier: Apache-2.0
#include "plan/tree_order.hpp"

#include <algorithm>
#include <cstddef>

namespace trireme::plan {

TreeOrder::TreeOrder(const layout::ReductionTree& tree) : tree_(&tree) {
  const auto nodes = tree.nodes();
  std::vector<int> height(nodes.size(), 0);
  std::vector<int> depth(nodes.size(), 0);
  for (int index = tree.ranks(); index <= tree.root(); ++index) {  // children come before their parent
    const auto& node = nodes[static_cast<std::size_t>(index)];
    height[static_cast<std::size_t>(index)] =
        1 + std::max(height[static_cast<std::size_t>(node.left)], height[static_cast<std::size_t>(node.right)]);
    upwards_.push_back(index);
  }
  for (int index = tree.root(); index >= tree.ranks(); --index) {
    const auto& node = nodes[static_cast<std::size_t>(index)];
    const int below = depth[static_cast<std::size_t>(index)] + 1;
    depth[static_cast<std::size_t>(node.left)] = below;
    depth[static_cast<std::size_t>(node.right)] = below;
    downwards_.push_back(index);
  }
  const auto by = [](const std::vector<int>& level) {
    return [&level](int a, int b) { return level[static_cast<std::size_t>(a)] < level[static_cast<std::size_t>(b)]; };
  };
  std::stable_sort(upwards_.begin(), upwards_.end(), by(height));
  std::stable_sort(downwards_.begin(), downwards_.end(), by(depth));
  height_ = height[static_cast<std::size_t>(tree.root())];
}

TreeEdge TreeOrder::edge(int node, int half) const {
  const auto nodes = tree_->nodes();
  const auto& parent = nodes[static_cast<std::size_t>(node)];
  const int far_child = half == 0 ? parent.right : parent.left;
  const int near_child = half == 0 ? parent.left : parent.right;
  const auto& far = nodes[static_cast<std::size_t>(far_child)];
  return {.keeper = half == 0 ? parent.first_rank : parent.last_rank,
          .far = half == 0 ? far.first_rank : far.last_rank,
          .far_is_raw = far_child < tree_->ranks(),
          .near_is_raw = near_child < tree_->ranks()};
}

}  // namespace trireme::plan
