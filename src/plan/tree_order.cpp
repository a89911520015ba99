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

TreeEdge TreeOrder::edge_between(int near_child, int far_child, int keeper, int far) const {
  const auto& far_node = tree_->nodes()[static_cast<std::size_t>(far_child)];
  const auto& near_node = tree_->nodes()[static_cast<std::size_t>(near_child)];
  return {.keeper = keeper,
          .far = far,
          .far_is_raw = far_child < tree_->ranks(),
          .near_is_raw = near_child < tree_->ranks(),
          .far_is_left = far_node.first_rank < near_node.first_rank,
          .far_first = far_node.first_rank,
          .far_last = far_node.last_rank};
}

TreeEdge TreeOrder::edge(int node, int half) const {
  const auto nodes = tree_->nodes();
  const auto& parent = nodes[static_cast<std::size_t>(node)];
  if (half == 0) {
    return edge_between(parent.left, parent.right, parent.first_rank,
                        nodes[static_cast<std::size_t>(parent.right)].first_rank);
  }
  return edge_between(parent.right, parent.left, parent.last_rank,
                      nodes[static_cast<std::size_t>(parent.left)].last_rank);
}

TreeEdge TreeOrder::edge_towards(int node, int root) const {
  const auto nodes = tree_->nodes();
  const auto& parent = nodes[static_cast<std::size_t>(node)];
  const auto& right = nodes[static_cast<std::size_t>(parent.right)];
  if (root >= right.first_rank && root <= right.last_rank) {
    return edge_between(parent.right, parent.left, root, parent.first_rank);
  }
  const bool below = root >= parent.first_rank && root < right.first_rank;
  return edge_between(parent.left, parent.right, below ? root : parent.first_rank, right.first_rank);
}

}  // namespace trireme::plan
