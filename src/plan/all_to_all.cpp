// SPDX-License-Identifier: Apache-2.0
// Block j of rank i's input becomes block i of rank j's output, in one message: block j at the sending end, block i at
// the receiving end. Nothing waits for anything, because input and output are two memories. In place two ranks that
// exchange blocks would each wait for the other to have read what is about to be overwritten.
// Source: Thakur, Rabenseifner, Gropp, Optimization of Collective Communication Operations in MPICH, IJHPCA 19(1),
// 2005, the long-message algorithm.
#include "plan/algorithms.hpp"

namespace trireme::plan {

/// Sends start at the right neighbour and go round, so that at any time every rank has one sender.
Plan direct_all_to_all(const Shape& shape, int rank) {
  const BlockRange all{0, shape.ranks};
  GraphBuilder builder(shape.ranks, all, all, Buffers::apart);
  for (int distance = 1; distance < shape.ranks; ++distance) {
    const int to = wrap(rank + distance, shape.ranks);
    const int from = wrap(rank - distance, shape.ranks);
    builder.send(to, to, moved_input);
    builder.recv(from, from, caller_output);
  }
  builder.copy(rank, moved_input, caller_output, false);
  return builder.finish();
}

Cost direct_all_to_all_cost(const CostQuery& query) {
  return {.steps = query.shape.ranks - 1,
          .payload_bytes = (query.count - query.share(query.rank)) * query.element.output,
          .messages = static_cast<std::size_t>(query.shape.ranks - 1)};
}

}  // namespace trireme::plan
