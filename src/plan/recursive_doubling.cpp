// SPDX-License-Identifier: Apache-2.0
// In round k, ranks whose numbers differ in bit k exchange their sums and both add them, the lower rank's on the left.
// With equal blocks of leaves that is level k of the contracted tree.
// Source: Thakur, Rabenseifner, Gropp, Optimization of Collective Communication Operations in MPICH, IJHPCA 19(1),
// 2005.
#include "plan/algorithms.hpp"

#include <array>

namespace trireme::plan {

/// Sums alternate between two slots, and so do arrivals of partial sums: round k + 2 waits until round k's are read.
Plan recursive_doubling_all_reduce(const Shape& shape, int rank) {
  GraphBuilder builder(1, {0, 1}, {0, 1});
  const int rounds = ceil_log2(shape.ranks);
  std::array<Operand, 2> sums{};
  std::array<Operand, 2> arrivals{};
  Operand sum = caller_input;
  for (int round = 0; round < rounds; ++round) {
    const int peer = rank ^ (1 << round);
    const bool last = round == rounds - 1;
    auto& next_sum = sums[static_cast<std::size_t>(round % 2)];
    auto& arrival = arrivals[static_cast<std::size_t>(round % 2)];
    // The inputs exchanged in round 0 have a slot of their own, in their own dtype: round 2 is the first to reuse one.
    if (round < 3) arrival = builder.scratch(0, round == 0 ? Role::input : Role::partial);
    if (round < 2 && !last) next_sum = builder.scratch(0, Role::partial);
    builder.send(peer, 0, sum);
    builder.recv(peer, 0, arrival);
    const Operand destination = last ? caller_output : next_sum;
    if (rank < peer) {
      builder.load_reduce(0, {sum, arrival}, {0, 1, -1}, destination);
    } else {
      builder.load_reduce(0, {arrival, sum}, {0, 1, -1}, destination);
    }
    sum = destination;
  }
  return builder.finish();
}

Cost recursive_doubling_all_reduce_cost(const CostQuery& query) {
  const int rounds = ceil_log2(query.shape.ranks);
  const auto messages = static_cast<std::size_t>(rounds);
  return {.steps = rounds,
          .payload_bytes = query.count * (query.element.input + (messages - 1) * query.element.partial),
          .messages = messages,
          .reduced_elements = messages * query.count};
}

}  // namespace trireme::plan
