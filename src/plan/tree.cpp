// SPDX-License-Identifier: Apache-2.0
// Each half of the data is reduced up the contracted tree and the result sent down the same edges. The brackets are the
// same in both halves; the ranks that do the adding are not (TreeOrder).
// Source: Sanders, Speck, Träff, Two-tree algorithms for full bandwidth broadcast, reduction and scan, 2009.
#include "plan/algorithms.hpp"
#include "plan/tree_order.hpp"

#include <array>
#include <cstdint>
#include <vector>

namespace trireme::plan {
namespace {

constexpr int halves = 2;

}  // namespace

Plan tree_all_reduce(const Shape& shape, int rank) {
  const auto tree = layout::ReductionTree::contracted(shape.leaves, shape.ranks);
  const TreeOrder order(tree);
  GraphBuilder builder(halves, {0, halves}, {0, halves});
  std::array<Operand, halves> value{caller_input, caller_input};  // of the highest node kept so far
  for (int node : order.upwards()) {
    for (int half = 0; half < halves; ++half) {
      const TreeEdge edge = order.edge(node, half);
      Operand& mine = value[static_cast<std::size_t>(half)];
      if (edge.far == rank) builder.send(edge.keeper, half, mine);
      if (edge.keeper != rank) continue;
      const Operand arrived = builder.scratch(half, edge.far_is_raw ? Role::input : Role::partial);
      builder.recv(edge.far, half, arrived);
      Operand sum = mine;  // in place, once it is a partial sum
      if (node == order.root()) {
        sum = caller_output;
      } else if (edge.near_is_raw) {
        sum = builder.scratch(half, Role::partial);
      }
      std::vector<Operand> left_right = edge.far_is_left ? std::vector{arrived, mine} : std::vector{mine, arrived};
      builder.load_reduce(half, std::move(left_right), {0, 1, -1}, sum);
      mine = sum;
    }
  }
  for (int node : order.downwards()) {
    for (int half = 0; half < halves; ++half) {
      const TreeEdge edge = order.edge(node, half);
      if (edge.keeper == rank) builder.send(edge.far, half, caller_output);
      if (edge.far == rank) builder.recv(edge.keeper, half, caller_output);
    }
  }
  return builder.finish();
}

Cost tree_all_reduce_cost(const CostQuery& query) {
  const auto tree = layout::ReductionTree::contracted(query.shape.leaves, query.shape.ranks);
  const TreeOrder order(tree);
  Cost cost{.steps = 2 * order.height()};
  for (int node : order.upwards()) {
    for (int half = 0; half < halves; ++half) {
      const TreeEdge edge = order.edge(node, half);
      const std::size_t size = elements_of({half, 1}, query.count, halves).size();
      if (edge.far == query.rank) {
        cost.messages += 1;
        cost.payload_bytes += size * (edge.far_is_raw ? query.element.input : query.element.partial);
      }
      if (edge.keeper == query.rank) {
        cost.messages += 1;
        cost.payload_bytes += size * query.element.output;
        cost.reduced_elements += size;
      }
    }
  }
  return cost;
}

}  // namespace trireme::plan
