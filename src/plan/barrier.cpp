// SPDX-License-Identifier: Apache-2.0
// No rank leaves before every rank has entered. The messages are empty, so no memory orders the steps: each send names
// the receipts it reports.
// Source: recursive doubling as in Thakur, Rabenseifner, Gropp, IJHPCA 19(1), 2005; the tree is half 0 of TreeOrder.
#include "plan/algorithms.hpp"
#include "plan/tree_order.hpp"

#include <vector>

namespace trireme::plan {
namespace {

/// Steps over the empty output.
class Signals {
 public:
  /// Reports that this rank has entered, and all that was reported to it since `forget`.
  void send(int peer) {
    append({.kind = StepKind::send, .peer = peer, .source = caller_output, .wire = Role::output, .depends_on = news_});
  }
  void recv(int peer) {
    news_.push_back(static_cast<int>(plan_.mine.steps.size()));
    append({.kind = StepKind::recv, .peer = peer, .destination = caller_output, .wire = Role::output});
  }
  /// For when the next receipt cannot come before everything so far has been reported.
  void forget() { news_.clear(); }

  Plan finish() {
    plan_.mine.input_blocks = plan_.mine.output_blocks = {0, 1};
    return std::move(plan_);
  }

 private:
  void append(Step step) { plan_.mine.steps.push_back(std::move(step)); }

  Plan plan_;
  std::vector<int> news_;
};

}  // namespace

Plan recursive_doubling_barrier(const Shape& shape, int rank) {
  Signals signals;
  for (int bit = 1; bit < shape.ranks; bit *= 2) {
    signals.send(rank ^ bit);
    signals.recv(rank ^ bit);
  }
  return signals.finish();
}

Plan tree_barrier(const Shape& shape, int rank) {
  const auto tree = layout::ReductionTree::contracted(shape.ranks, shape.ranks);
  const TreeOrder order(tree);
  Signals signals;
  for (int node : order.upwards()) {
    const TreeEdge edge = order.edge(node, 0);
    if (edge.keeper == rank) signals.recv(edge.far);
    if (edge.far == rank) signals.send(edge.keeper);
  }
  for (int node : order.downwards()) {
    const TreeEdge edge = order.edge(node, 0);
    if (edge.far == rank) {
      signals.forget();  // the root has heard from this rank before it sends word
      signals.recv(edge.keeper);
    }
    if (edge.keeper == rank) signals.send(edge.far);
  }
  return signals.finish();
}

Cost recursive_doubling_barrier_cost(const CostQuery& query) {
  const int rounds = ceil_log2(query.shape.ranks);
  return {.steps = rounds, .messages = static_cast<std::size_t>(rounds)};
}

Cost tree_barrier_cost(const CostQuery& query) {
  const auto tree = layout::ReductionTree::contracted(query.shape.ranks, query.shape.ranks);
  const TreeOrder order(tree);
  Cost cost{.steps = 2 * order.height()};
  for (int node : order.upwards()) {
    const TreeEdge edge = order.edge(node, 0);
    if (edge.far == query.rank || edge.keeper == query.rank) cost.messages += 1;
  }
  return cost;
}

}  // namespace trireme::plan
