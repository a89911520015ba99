// SPDX-License-Identifier: Apache-2.0
// The combination ends on one rank. By tree it comes up the contracted tree, where every inner node above the root of
// the collective is kept by that rank: no message is left to be sent when the sum is complete. By rooted the
// contributions meet on the root, which adds them in one pass.
// Source: Thakur, Rabenseifner, Gropp, Optimization of Collective Communication Operations in MPICH, IJHPCA 19(1),
// 2005, with the brackets of the contracted tree.
#include "plan/algorithms.hpp"
#include "plan/tree_order.hpp"

#include <vector>

namespace trireme::plan {

Plan tree_reduce(const Shape& shape, int rank) {
  const auto tree = layout::ReductionTree::contracted(shape.leaves, shape.ranks);
  const TreeOrder order(tree);
  GraphBuilder builder(1, {0, 1}, {0, rank == shape.root ? 1 : 0});
  Operand value = caller_input;  // of the highest node kept so far
  for (int node : order.upwards()) {
    const TreeEdge edge = order.edge_towards(node, shape.root);
    if (edge.far == rank) builder.send(edge.keeper, 0, value);
    if (edge.keeper != rank) continue;
    const Operand arrived = builder.scratch(0, edge.far_is_raw ? Role::input : Role::partial);
    builder.recv(edge.far, 0, arrived);
    Operand sum = value;  // in place, once it is a partial sum
    if (node == order.root()) {
      sum = caller_output;
    } else if (edge.near_is_raw) {
      sum = builder.scratch(0, Role::partial);
    }
    std::vector<Operand> left_right = edge.far_is_left ? std::vector{arrived, value} : std::vector{value, arrived};
    builder.load_reduce(0, std::move(left_right), {0, 1, -1}, sum);
    value = sum;
  }
  return builder.finish();
}

Plan rooted_reduce(const Shape& shape, int rank) {
  GraphBuilder builder(1, {0, 1}, {0, rank == shape.root ? 1 : 0});
  if (rank != shape.root) {
    builder.send(shape.root, 0, caller_input);
    return builder.finish();
  }
  std::vector<Operand> contributions(static_cast<std::size_t>(shape.ranks), caller_input);
  for (int distance = 1; distance < shape.ranks; ++distance) {
    const int from = wrap(rank + distance, shape.ranks);
    const Operand slot = builder.scratch(0, Role::input);
    builder.recv(from, 0, slot);
    contributions[static_cast<std::size_t>(from)] = slot;
  }
  const auto tree = layout::ReductionTree::contracted(shape.leaves, shape.ranks);
  const auto program = tree.postfix();
  builder.load_reduce(0, std::move(contributions), {program.begin(), program.end()}, caller_output);
  return builder.finish();
}

Cost tree_reduce_cost(const CostQuery& query) {
  const auto tree = layout::ReductionTree::contracted(query.shape.leaves, query.shape.ranks);
  const TreeOrder order(tree);
  Cost cost{.steps = order.height()};
  for (int node : order.upwards()) {
    const TreeEdge edge = order.edge_towards(node, query.shape.root);
    if (edge.far == query.rank) {
      cost.messages = 1;
      cost.payload_bytes = query.count * (edge.far_is_raw ? query.element.input : query.element.partial);
    }
    if (edge.keeper == query.rank) cost.reduced_elements += query.count;
  }
  return cost;
}

Cost rooted_reduce_cost(const CostQuery& query) {
  Cost cost{.steps = query.shape.ranks - 1};
  if (query.rank == query.shape.root) {
    cost.reduced_elements = static_cast<std::size_t>(query.shape.ranks - 1) * query.count;
  } else {
    cost.messages = 1;
    cost.payload_bytes = query.count * query.element.input;
  }
  return cost;
}

}  // namespace trireme::plan
