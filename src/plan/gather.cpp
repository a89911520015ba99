// SPDX-License-Identifier: Apache-2.0
// Blocks meet on the root (gather) or leave it (scatter). By rooted every block is one message. By tree the ranks below
// a node of the balanced tree are neighbours, so their blocks are one run and travel as one message whatever the root:
// a node is kept by the root if that is below it, otherwise by its lowest rank.
// Source: Thakur, Rabenseifner, Gropp, Optimization of Collective Communication Operations in MPICH, IJHPCA 19(1),
// 2005, where the runs are counted from the root and may wrap.
#include "plan/algorithms.hpp"
#include "plan/tree_order.hpp"

namespace trireme::plan {
namespace {

BlockRange far_run(const TreeEdge& edge) { return {edge.far_first, edge.far_last - edge.far_first + 1}; }

/// The blocks of all ranks below the highest node that `rank` keeps.
BlockRange kept_run(const TreeOrder& order, int root, int rank) {
  if (rank == root) return {0, order.ranks()};
  BlockRange run{rank, 1};  // only the root keeps nodes whose lowest rank it is not
  for (int node : order.upwards()) {
    const TreeEdge edge = order.edge_towards(node, root);
    if (edge.keeper == rank) run.count = edge.far_last - rank + 1;
  }
  return run;
}

BlockRange only_on_root(const Shape& shape, int rank) { return {0, rank == shape.root ? shape.ranks : 0}; }

}  // namespace

Plan rooted_gather(const Shape& shape, int rank) {
  GraphBuilder builder(shape.ranks, {rank, 1}, only_on_root(shape, rank));
  if (rank != shape.root) {
    builder.send(shape.root, rank, moved_input);
    return builder.finish();
  }
  for (int distance = 1; distance < shape.ranks; ++distance) {
    const int from = wrap(rank + distance, shape.ranks);
    builder.recv(from, from, caller_output);
  }
  builder.copy(rank, moved_input, caller_output, false);
  return builder.finish();
}

Plan rooted_scatter(const Shape& shape, int rank) {
  GraphBuilder builder(shape.ranks, only_on_root(shape, rank), {rank, 1});
  if (rank != shape.root) {
    builder.recv(shape.root, rank, caller_output);
    return builder.finish();
  }
  for (int distance = 1; distance < shape.ranks; ++distance) {
    const int to = wrap(rank + distance, shape.ranks);
    builder.send(to, to, moved_input);
  }
  builder.copy(rank, moved_input, caller_output, false);
  return builder.finish();
}

Plan tree_gather(const Shape& shape, int rank) {
  const auto tree = layout::ReductionTree::contracted(shape.ranks, shape.ranks);
  const TreeOrder order(tree);
  GraphBuilder builder(shape.ranks, {rank, 1}, only_on_root(shape, rank));
  const BlockRange run = kept_run(order, shape.root, rank);
  Operand memory = moved_input;  // a rank that keeps no node sends what it was given
  if (run.count > 1) {
    memory = rank == shape.root ? caller_output : builder.scratch(run, Role::output);
    builder.copy(rank, moved_input, memory, false);
  }
  for (int node : order.upwards()) {
    const TreeEdge edge = order.edge_towards(node, shape.root);
    if (edge.far == rank) builder.send(edge.keeper, run, memory);
    if (edge.keeper == rank) builder.recv(edge.far, far_run(edge), memory);
  }
  Plan plan = builder.finish();
  plan.loopable = false;  // on some rank a step names several blocks
  return plan;
}

Plan tree_scatter(const Shape& shape, int rank) {
  const auto tree = layout::ReductionTree::contracted(shape.ranks, shape.ranks);
  const TreeOrder order(tree);
  GraphBuilder builder(shape.ranks, only_on_root(shape, rank), {rank, 1});
  const BlockRange run = kept_run(order, shape.root, rank);
  Operand memory = caller_output;  // a rank that keeps no node gets its own block only
  if (run.count > 1) memory = rank == shape.root ? moved_input : builder.scratch(run, Role::output);
  for (int node : order.downwards()) {
    const TreeEdge edge = order.edge_towards(node, shape.root);
    if (edge.far == rank) builder.recv(edge.keeper, run, memory);
    if (edge.keeper == rank) builder.send(edge.far, far_run(edge), memory);
  }
  if (run.count > 1) builder.copy(rank, memory, caller_output, false);
  Plan plan = builder.finish();
  plan.loopable = false;
  return plan;
}

Cost rooted_gather_cost(const CostQuery& query) {
  Cost cost{.steps = query.shape.ranks - 1};
  if (query.rank == query.shape.root) return cost;
  cost.messages = 1;
  cost.payload_bytes = query.share(query.rank) * query.element.output;
  return cost;
}

Cost rooted_scatter_cost(const CostQuery& query) {
  Cost cost{.steps = query.shape.ranks - 1};
  if (query.rank != query.shape.root) return cost;
  cost.messages = static_cast<std::size_t>(query.shape.ranks - 1);
  cost.payload_bytes = (query.count - query.share(query.rank)) * query.element.output;
  return cost;
}

Cost tree_gather_cost(const CostQuery& query) {
  Cost cost{.steps = ceil_log2(query.shape.ranks)};
  if (query.rank == query.shape.root) return cost;
  const auto tree = layout::ReductionTree::contracted(query.shape.ranks, query.shape.ranks);
  const BlockRange run = kept_run(TreeOrder(tree), query.shape.root, query.rank);
  cost.messages = 1;
  cost.payload_bytes = elements_of(run, query.count, query.shape.ranks).size() * query.element.output;
  return cost;
}

Cost tree_scatter_cost(const CostQuery& query) {
  const auto tree = layout::ReductionTree::contracted(query.shape.ranks, query.shape.ranks);
  const TreeOrder order(tree);
  Cost cost{.steps = ceil_log2(query.shape.ranks)};
  for (int node : order.upwards()) {
    if (order.edge_towards(node, query.shape.root).keeper == query.rank) cost.messages += 1;
  }
  if (cost.messages == 0) return cost;
  const BlockRange run = kept_run(order, query.shape.root, query.rank);
  cost.payload_bytes =
      (elements_of(run, query.count, query.shape.ranks).size() - query.share(query.rank)) * query.element.output;
  return cost;
}

}  // namespace trireme::plan
