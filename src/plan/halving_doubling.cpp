// SPDX-License-Identifier: Apache-2.0
// Reduce-scatter by halves, all-gather by doubles. In round k, ranks whose numbers differ in bit k each give away one
// half of the blocks they still hold and add what they get to the other half, the lower rank's sum on the left: with
// equal blocks of leaves that is level k of the contracted tree. Then the finished blocks go back the same way.
// The distance grows from 1, against the usual description, because the tree adds neighbours first. So the block that a
// rank finishes has the rank's number with its bits reversed; a reduce-scatter, where rank r must finish block r, would
// have to keep every other block in round 0 (runs of one block, as many messages as direct) or send the finished blocks
// once more, and therefore is not made this way.
// Source: Thakur, Rabenseifner, Gropp, Optimization of Collective Communication Operations in MPICH, IJHPCA 19(1),
// 2005, Rabenseifner's algorithm.
#include "plan/algorithms.hpp"

#include <vector>

namespace trireme::plan {
namespace {

struct Round {
  int peer;
  BlockRange kept;
  BlockRange given;
};

std::vector<Round> halvings(int ranks, int rank) {
  std::vector<Round> rounds;
  BlockRange held{0, ranks};
  for (int bit = 1; bit < ranks; bit *= 2) {
    const int half = held.count / 2;
    const BlockRange lower{held.first, half};
    const BlockRange upper{held.first + half, half};
    const bool low = (rank & bit) == 0;
    rounds.push_back({rank ^ bit, low ? lower : upper, low ? upper : lower});
    held = rounds.back().kept;
  }
  return rounds;
}

}  // namespace

Plan halving_doubling_all_reduce(const Shape& shape, int rank) {
  GraphBuilder builder(shape.ranks, {0, shape.ranks}, {0, shape.ranks});
  const std::vector<Round> rounds = halvings(shape.ranks, rank);
  Operand sum = caller_input;
  for (const Round& round : rounds) {
    const bool raw = &round == &rounds.front();
    const bool last = &round == &rounds.back();
    const Operand arrived = builder.scratch(round.kept, raw ? Role::input : Role::partial);
    builder.send(round.peer, round.given, sum);
    builder.recv(round.peer, round.kept, arrived);
    Operand next = sum;  // in place, once it is a partial sum
    if (last) {
      next = caller_output;
    } else if (raw) {
      next = builder.scratch(round.kept, Role::partial);
    }
    std::vector<Operand> left_right = rank < round.peer ? std::vector{sum, arrived} : std::vector{arrived, sum};
    builder.load_reduce(round.kept, std::move(left_right), {0, 1, -1}, next);
    sum = next;
  }
  for (auto round = rounds.rbegin(); round != rounds.rend(); ++round) {
    builder.send(round->peer, round->kept, caller_output);
    builder.recv(round->peer, round->given, caller_output);
  }
  return builder.finish();
}

Cost halving_doubling_all_reduce_cost(const CostQuery& query) {
  const auto size = [&](BlockRange blocks) { return elements_of(blocks, query.count, query.shape.ranks).size(); };
  Cost cost;
  for (const Round& round : halvings(query.shape.ranks, query.rank)) {
    const bool raw = cost.steps == 0;
    cost.steps += 2;
    cost.messages += 2;
    cost.payload_bytes += size(round.given) * (raw ? query.element.input : query.element.partial) +
                          size(round.kept) * query.element.output;
    cost.reduced_elements += size(round.kept);
  }
  return cost;
}

}  // namespace trireme::plan
