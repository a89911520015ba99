// SPDX-License-Identifier: Apache-2.0
// Every rank owns one block: it receives the others' contributions to it, adds all of them in one pass in the brackets
// of the contracted tree, and for all_reduce the finished blocks then travel once round the ring.
// Source: the all-to-all ("pairwise") reduce-scatter of Thakur, Rabenseifner, Gropp, Optimization of Collective
// Communication Operations in MPICH, IJHPCA 19(1), 2005, with the sum deferred until all contributions are there.
#include "plan/algorithms.hpp"
#include "trireme/layout/reduction_tree.hpp"

#include <vector>

namespace trireme::plan {
namespace {

/// Sends start at the right neighbour and go round, each when the receipt of the distance before has come: at any time
/// every owner has one sender. All at once, some owners would have theirs early and their lines idle while others wait
/// for many.
void append_exchange_and_sum(GraphBuilder& builder, const Shape& shape, int rank) {
  const int ranks = shape.ranks;
  std::vector<Operand> contributions(static_cast<std::size_t>(ranks), caller_input);
  int received = -1;
  for (int distance = 1; distance < ranks; ++distance) {
    const int to = wrap(rank + distance, ranks);
    const int from = wrap(rank - distance, ranks);
    builder.send(to, to, caller_input, received);
    const Operand slot = builder.scratch(rank, Role::input);
    received = builder.recv(from, rank, slot);
    contributions[static_cast<std::size_t>(from)] = slot;
  }
  const auto tree = layout::ReductionTree::contracted(shape.leaves, ranks);
  const auto program = tree.postfix();
  builder.load_reduce(rank, std::move(contributions), {program.begin(), program.end()}, caller_output);
}

}  // namespace

Plan direct_reduce_scatter(const Shape& shape, int rank) {
  GraphBuilder builder(shape.ranks, {0, shape.ranks}, {rank, 1});
  append_exchange_and_sum(builder, shape, rank);
  return builder.finish();
}

Plan direct_all_reduce(const Shape& shape, int rank) {
  GraphBuilder builder(shape.ranks, {0, shape.ranks}, {0, shape.ranks});
  append_exchange_and_sum(builder, shape, rank);
  append_ring_gather(builder, shape.ranks, rank, rank, caller_output);
  return builder.finish();
}

/// Every rank sends its block to all others: as many rounds and bytes as the ring, but nothing waits for a receipt.
Plan direct_all_gather(const Shape& shape, int rank) {
  GraphBuilder builder(shape.ranks, {rank, 1}, {0, shape.ranks});
  for (int distance = 1; distance < shape.ranks; ++distance) {
    const int from = wrap(rank - distance, shape.ranks);
    builder.send(wrap(rank + distance, shape.ranks), rank, moved_input);
    builder.recv(from, from, caller_output);
  }
  builder.copy(rank, moved_input, caller_output, false);
  return builder.finish();
}

Cost direct_reduce_scatter_cost(const CostQuery& query) {
  const auto others = static_cast<std::size_t>(query.shape.ranks - 1);
  return {.steps = query.shape.ranks - 1,
          .payload_bytes = (query.count - query.share(query.rank)) * query.element.input,
          .messages = others,
          .reduced_elements = others * query.share(query.rank)};
}

Cost direct_all_gather_cost(const CostQuery& query) {
  const auto others = static_cast<std::size_t>(query.shape.ranks - 1);
  return {.steps = query.shape.ranks - 1,
          .payload_bytes = others * query.share(query.rank) * query.element.output,
          .messages = others};
}

Cost direct_all_reduce_cost(const CostQuery& query) {
  Cost cost = direct_reduce_scatter_cost(query);
  cost.steps *= 2;
  cost.messages *= 2;
  cost.payload_bytes += (query.count - query.share(query.rank + 1)) * query.element.output;
  return cost;
}

}  // namespace trireme::plan
