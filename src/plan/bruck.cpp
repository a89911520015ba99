// SPDX-License-Identifier: Apache-2.0
// All-gather in ceil(log2 P) rounds at any P. Before round k a rank holds the 2^k blocks from its own onwards; it sends
// them to the rank 2^k before it and gets as many, or as many as are missing, from the rank 2^k after it. Blocks go to
// their places in the output at once, so nothing is rotated at the end; the blocks of a round that pass the last block
// and go on at block 0 are two messages.
// An all_to_all of this kind is not made: what travels in a round is every 2^k-th run of 2^k blocks, in some round
// every other block. Steps name runs of blocks and only messages give a block another number, so that at powers of two
// P - 1 messages would be left, as many as direct sends.
// Source: Bruck, Ho, Kipnis, Upfal, Weathersby, Efficient algorithms for all-to-all communications in multiport
// message-passing systems, IEEE TPDS 8(11), 1997.
#include "plan/algorithms.hpp"

#include <algorithm>
#include <vector>

namespace trireme::plan {
namespace {

/// Blocks first, first + 1, ... modulo `ranks`, as at most two runs.
std::vector<BlockRange> runs(int first, int count, int ranks) {
  const int before_end = std::min(count, ranks - first);
  if (before_end == count) return {{first, count}};
  return {{first, before_end}, {0, count - before_end}};
}

}  // namespace

Plan bruck_all_gather(const Shape& shape, int rank) {
  const int ranks = shape.ranks;
  GraphBuilder builder(ranks, {rank, 1}, {0, ranks});
  builder.copy(rank, moved_input, caller_output, false);  // first, so that no later round has to wait for a send
  for (int held = 1; held < ranks; held *= 2) {
    const int count = std::min(held, ranks - held);
    const int from = wrap(rank + held, ranks);
    for (BlockRange run : runs(rank, count, ranks)) builder.send(wrap(rank - held, ranks), run, caller_output);
    for (BlockRange run : runs(from, count, ranks)) builder.recv(from, run, caller_output);
  }
  Plan plan = builder.finish();
  plan.loopable = ranks < 4;  // above, a step of some rank names several blocks
  return plan;
}

/// The last rank sends two messages in every round of two blocks or more, and the others are never later.
Cost bruck_all_gather_cost(const CostQuery& query) {
  const int ranks = query.shape.ranks;
  Cost cost;
  for (int held = 1; held < ranks; held *= 2) {
    const int count = std::min(held, ranks - held);
    cost.steps += count > 1 ? 2 : 1;
    for (BlockRange run : runs(query.rank, count, ranks)) {
      cost.messages += 1;
      cost.payload_bytes += elements_of(run, query.count, ranks).size() * query.element.output;
    }
  }
  return cost;
}

}  // namespace trireme::plan
