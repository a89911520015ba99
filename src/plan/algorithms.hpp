// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "plan/graph_builder.hpp"
#include "trireme/plan/cost.hpp"
#include "trireme/plan/graph.hpp"

#include <cstddef>

namespace trireme::plan {

/// What cost_of was asked.
struct CostQuery {
  const Shape& shape;
  int rank;
  std::size_t count;
  ElementBytes element;

  /// Elements of block `block` (any integer, taken modulo the ranks) when there is one block per rank.
  std::size_t share(int block) const;
};

/// `value` modulo `ranks` in [0, ranks).
constexpr int wrap(int value, int ranks) { return (value % ranks + ranks) % ranks; }

/// ceil(log2(value)). Shape: value >= 1.
constexpr int ceil_log2(int value) {
  int exponent = 0;
  while ((1LL << exponent) < value) ++exponent;
  return exponent;
}

// One pair for each row of the table in plans.cpp: the steps of `rank`, and what they cost by closed formula.
// All of them: shape well formed, ranks >= 2, the algorithm defined for the shape.

Plan direct_all_reduce(const Shape& shape, int rank);
Cost direct_all_reduce_cost(const CostQuery& query);
Plan direct_reduce_scatter(const Shape& shape, int rank);
Cost direct_reduce_scatter_cost(const CostQuery& query);

Plan recursive_doubling_all_reduce(const Shape& shape, int rank);
Cost recursive_doubling_all_reduce_cost(const CostQuery& query);

Plan halving_doubling_all_reduce(const Shape& shape, int rank);
Cost halving_doubling_all_reduce_cost(const CostQuery& query);

Plan tree_all_reduce(const Shape& shape, int rank);
Cost tree_all_reduce_cost(const CostQuery& query);

Plan ring_all_reduce(const Shape& shape, int rank);
Cost ring_all_reduce_cost(const CostQuery& query);
Plan ring_reduce_scatter(const Shape& shape, int rank);
Cost ring_reduce_scatter_cost(const CostQuery& query);
Plan ring_all_gather(const Shape& shape, int rank);
Cost ring_all_gather_cost(const CostQuery& query);

Plan direct_all_gather(const Shape& shape, int rank);
Cost direct_all_gather_cost(const CostQuery& query);
Plan bruck_all_gather(const Shape& shape, int rank);
Cost bruck_all_gather_cost(const CostQuery& query);

Plan ring_broadcast(const Shape& shape, int rank);
Cost ring_broadcast_cost(const CostQuery& query);
Plan double_tree_broadcast(const Shape& shape, int rank);
Cost double_tree_broadcast_cost(const CostQuery& query);
Plan double_tree_reduce(const Shape& shape, int rank);
Cost double_tree_reduce_cost(const CostQuery& query);

Plan tree_broadcast(const Shape& shape, int rank);
Cost tree_broadcast_cost(const CostQuery& query);

Plan tree_reduce(const Shape& shape, int rank);
Cost tree_reduce_cost(const CostQuery& query);
Plan rooted_reduce(const Shape& shape, int rank);
Cost rooted_reduce_cost(const CostQuery& query);

Plan rooted_gather(const Shape& shape, int rank);
Cost rooted_gather_cost(const CostQuery& query);
Plan tree_gather(const Shape& shape, int rank);
Cost tree_gather_cost(const CostQuery& query);
Plan rooted_scatter(const Shape& shape, int rank);
Cost rooted_scatter_cost(const CostQuery& query);
Plan tree_scatter(const Shape& shape, int rank);
Cost tree_scatter_cost(const CostQuery& query);

Plan direct_all_to_all(const Shape& shape, int rank);
Cost direct_all_to_all_cost(const CostQuery& query);

Plan recursive_doubling_barrier(const Shape& shape, int rank);
Cost recursive_doubling_barrier_cost(const CostQuery& query);
Plan tree_barrier(const Shape& shape, int rank);
Cost tree_barrier_cost(const CostQuery& query);

/// Adds the steps that carry every output block once round the ring, starting with this rank's `own_block` at `own`
/// (role output). Rank r's block must be r's shifted by the same number on all ranks.
void append_ring_gather(GraphBuilder& builder, int ranks, int rank, int own_block, Operand own);

}  // namespace trireme::plan
