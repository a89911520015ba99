// SPDX-License-Identifier: Apache-2.0
// Blocks travel round the ring to the right neighbour. While reducing, each rank adds its contribution to what arrives
// and passes it on; block b therefore has brackets that start behind rank b, which is not the contracted tree.
// What arrives goes into scratch memory and is added there in one pass together with the caller's input: that reads and
// writes less than copying the input first, and leaves the input as it was.
// Source: Patarasuk, Yuan, Bandwidth optimal all-reduce algorithms for clusters of workstations, JPDC 69(2), 2009.
#include "plan/algorithms.hpp"

namespace trireme::plan {
namespace {

/// Reduce-scatter that starts with block `first` and leaves block first + 1, finished, on this rank.
void append_ring_reduction(GraphBuilder& builder, int ranks, int rank, int first) {
  const int right = wrap(rank + 1, ranks);
  const int left = wrap(rank - 1, ranks);
  Operand sum = caller_input;
  for (int round = 0; round < ranks - 1; ++round) {
    builder.send(right, wrap(first - round, ranks), sum);
    const int block = wrap(first - round - 1, ranks);
    const bool raw = round == 0;
    const bool last = round == ranks - 2;
    const Operand arrived = builder.scratch(block, raw ? Role::input : Role::partial);
    builder.recv(left, block, arrived);
    if (last) {
      sum = caller_output;
    } else {
      sum = raw ? builder.scratch(block, Role::partial) : arrived;
    }
    builder.load_reduce(block, {arrived, caller_input}, {0, 1, -1}, sum);
  }
}

Cost ring_reduction_cost(const CostQuery& query, int first) {
  const std::size_t raw = query.share(first);
  const std::size_t kept = query.share(first + 1);
  return {.steps = query.shape.ranks - 1,
          .payload_bytes = raw * query.element.input + (query.count - raw - kept) * query.element.partial,
          .messages = static_cast<std::size_t>(query.shape.ranks - 1),
          .reduced_elements = query.count - raw};
}

}  // namespace

void append_ring_gather(GraphBuilder& builder, int ranks, int rank, int own_block, Operand own) {
  const int right = wrap(rank + 1, ranks);
  const int left = wrap(rank - 1, ranks);
  for (int round = 0; round < ranks - 1; ++round) {
    builder.send(right, wrap(own_block - round, ranks), round == 0 ? own : caller_output);
    builder.recv(left, wrap(own_block - round - 1, ranks), caller_output);
  }
}

Plan ring_all_reduce(const Shape& shape, int rank) {
  GraphBuilder builder(shape.ranks, {0, shape.ranks}, {0, shape.ranks});
  append_ring_reduction(builder, shape.ranks, rank, rank);
  append_ring_gather(builder, shape.ranks, rank, wrap(rank + 1, shape.ranks), caller_output);
  return builder.finish();
}

Plan ring_reduce_scatter(const Shape& shape, int rank) {
  GraphBuilder builder(shape.ranks, {0, shape.ranks}, {rank, 1});
  append_ring_reduction(builder, shape.ranks, rank, rank - 1);
  return builder.finish();
}

Plan ring_all_gather(const Shape& shape, int rank) {
  GraphBuilder builder(shape.ranks, {rank, 1}, {0, shape.ranks});
  // Sent before it is copied: the neighbour need not wait for the copy.
  append_ring_gather(builder, shape.ranks, rank, rank, moved_input);
  builder.copy(rank, caller_input, caller_output, false);
  return builder.finish();
}

Cost ring_all_reduce_cost(const CostQuery& query) {
  Cost cost = ring_reduction_cost(query, query.rank);
  cost.steps *= 2;
  cost.messages *= 2;
  cost.payload_bytes += (query.count - query.share(query.rank + 2)) * query.element.output;
  return cost;
}

Cost ring_reduce_scatter_cost(const CostQuery& query) { return ring_reduction_cost(query, query.rank - 1); }

Cost ring_all_gather_cost(const CostQuery& query) {
  return {.steps = query.shape.ranks - 1,
          .payload_bytes = (query.count - query.share(query.rank + 1)) * query.element.output,
          .messages = static_cast<std::size_t>(query.shape.ranks - 1)};
}

}  // namespace trireme::plan
