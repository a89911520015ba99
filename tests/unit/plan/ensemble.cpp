// SPDX-License-Identifier: Apache-2.0
#include "unit/plan/ensemble.hpp"

#include "unit/plan/expressions.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <utility>

namespace trireme::plan::proof {
namespace {

std::vector<Plan> all_plans(Algorithm algorithm, const Shape& shape) {
  std::vector<Plan> plans;
  for (int rank = 0; rank < shape.ranks; ++rank) plans.push_back(make_plan(algorithm, shape, rank));
  return plans;
}

/// Whether both ends of a message speak of the same blocks. In all_to_all the block for rank j at rank i is the block
/// from rank i at rank j.
bool same_blocks(Collective collective, int from, int to, BlockRange sent, BlockRange received) {
  if (collective != Collective::all_to_all) return sent == received;
  return sent == BlockRange{to, 1} && received == BlockRange{from, 1};
}

bool receives(StepKind kind) { return kind == StepKind::recv || kind == StepKind::recv_reduce; }

}  // namespace

std::string describe(Algorithm algorithm, const Shape& shape) {
  return std::string(name_of(algorithm)) + " " + std::string(name_of(shape.collective)) + " of " +
         std::to_string(shape.ranks) + " ranks, " + std::to_string(shape.leaves) + " leaves, root " +
         std::to_string(shape.root);
}

Ensemble::Ensemble(Algorithm algorithm, const Shape& wanted) : Ensemble(all_plans(algorithm, wanted)) {}

Ensemble::Ensemble(std::vector<Plan> given) : shape(given.front().shape), plans(std::move(given)) {
  for (int rank = 0; rank < static_cast<int>(plans.size()); ++rank) {
    first.push_back(static_cast<int>(nodes.size()));
    const Plan& plan = plans[static_cast<std::size_t>(rank)];
    if (plan.blocks != blocks() || plan.loopable != plans.front().loopable) {
      throw Broken("rank " + std::to_string(rank) + " cuts the data another way than rank 0");
    }
    const auto& steps = plans[static_cast<std::size_t>(rank)].mine.steps;
    for (int index = 0; index < static_cast<int>(steps.size()); ++index) {
      Node node;
      node.rank = rank;
      node.index = index;
      node.step = &steps[static_cast<std::size_t>(index)];
      nodes.push_back(std::move(node));
    }
    for (int index = 0; index < static_cast<int>(steps.size()); ++index) {
      for (int earlier : steps[static_cast<std::size_t>(index)].depends_on) {
        if (earlier < 0 || earlier >= index) throw Broken(describe(first.back() + index) + " waits for a later step");
        nodes[static_cast<std::size_t>(first.back() + earlier)].successors.push_back(first.back() + index);
      }
    }
  }
  match();
}

void Ensemble::match() {
  std::map<std::pair<int, int>, std::pair<std::vector<int>, std::vector<int>>> edges;  // (from, to) -> sends, receipts
  const int count = static_cast<int>(nodes.size());
  for (int index = 0; index < count; ++index) {
    const Node& node = nodes[static_cast<std::size_t>(index)];
    const int peer = node.step->peer;
    const bool message = node.step->kind == StepKind::send || receives(node.step->kind);
    if (message != (peer >= 0)) throw Broken(describe(index) + ": a peer belongs to a message");
    if (!message) continue;
    if (peer >= shape.ranks || peer == node.rank) throw Broken(describe(index) + ": no such peer");
    if (node.step->kind == StepKind::send) {
      edges[{node.rank, peer}].first.push_back(index);
    } else {
      edges[{peer, node.rank}].second.push_back(index);
    }
  }
  for (const auto& [edge, ends] : edges) {
    const auto& [sends, receipts] = ends;
    if (sends.size() != receipts.size()) {
      throw Broken(std::to_string(sends.size()) + " sends but " + std::to_string(receipts.size()) + " receipts from " +
                   std::to_string(edge.first) + " to " + std::to_string(edge.second));
    }
    for (std::size_t k = 0; k < sends.size(); ++k) {
      Node& send = nodes[static_cast<std::size_t>(sends[k])];
      Node& receipt = nodes[static_cast<std::size_t>(receipts[k])];
      const bool agreed =
          same_blocks(shape.collective, edge.first, edge.second, send.step->blocks, receipt.step->blocks);
      if (!agreed || send.step->wire != receipt.step->wire) {
        throw Broken(describe(sends[k]) + " meets another message: " + describe(receipts[k]));
      }
      send.partner = receipts[k];
      receipt.partner = sends[k];
      if (k > 0) send.before_on_edge = sends[k - 1];
      if (k > 0) receipt.before_on_edge = receipts[k - 1];
    }
  }
}

std::string Ensemble::describe(int index) const {
  static constexpr const char* kinds[] = {"send", "recv", "recv_reduce", "load_reduce", "copy"};
  const Node& node = nodes[static_cast<std::size_t>(index)];
  const Step& step = *node.step;
  std::string text = "rank " + std::to_string(node.rank) + " step " + std::to_string(node.index) + " " +
                     kinds[static_cast<int>(step.kind)] + " of block " + std::to_string(step.blocks.first);
  if (step.peer >= 0) text += " with rank " + std::to_string(step.peer);
  return text;
}

int one_port_rounds(const Ensemble& ensemble) {
  const auto ranks = static_cast<std::size_t>(ensemble.shape.ranks);
  std::vector<std::deque<int>> outgoing(ranks);
  std::vector<std::deque<int>> incoming(ranks);
  std::vector<char> done(ensemble.nodes.size(), 0);
  std::vector<int> local;  // not done yet
  std::size_t left = 0;
  for (std::size_t index = 0; index < ensemble.nodes.size(); ++index) {
    const auto& node = ensemble.nodes[index];
    if (node.partner < 0) {
      local.push_back(static_cast<int>(index));
      continue;
    }
    ++left;
    auto& queue = node.step->kind == StepKind::send ? outgoing : incoming;
    queue[static_cast<std::size_t>(node.rank)].push_back(static_cast<int>(index));
  }
  const auto ready = [&](int index) {
    const auto& node = ensemble.nodes[static_cast<std::size_t>(index)];
    const int base = ensemble.first[static_cast<std::size_t>(node.rank)];
    return std::all_of(node.step->depends_on.rbegin(), node.step->depends_on.rend(),
                       [&](int earlier) { return done[static_cast<std::size_t>(base + earlier)] != 0; });
  };
  int rounds = 0;
  for (; left > 0; ++rounds) {
    const auto finish = [&](int index) {  // earlier steps come first: one pass finds all that can be done
      if (!ready(index)) return false;
      done[static_cast<std::size_t>(index)] = 1;
      return true;
    };
    local.erase(std::remove_if(local.begin(), local.end(), finish), local.end());
    std::vector<int> sent;
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      if (outgoing[rank].empty()) continue;
      const int send = outgoing[rank].front();
      const int receipt = ensemble.nodes[static_cast<std::size_t>(send)].partner;
      const auto& queue = incoming[static_cast<std::size_t>(ensemble.nodes[static_cast<std::size_t>(receipt)].rank)];
      if (queue.front() == receipt && ready(send) && ready(receipt)) sent.push_back(send);
    }
    if (sent.empty()) throw Broken("stuck with one port per rank after round " + std::to_string(rounds));
    for (int send : sent) {
      const auto& node = ensemble.nodes[static_cast<std::size_t>(send)];
      const auto& met = ensemble.nodes[static_cast<std::size_t>(node.partner)];
      done[static_cast<std::size_t>(send)] = done[static_cast<std::size_t>(node.partner)] = 1;
      outgoing[static_cast<std::size_t>(node.rank)].pop_front();
      incoming[static_cast<std::size_t>(met.rank)].pop_front();
      left -= 2;
    }
  }
  return rounds;
}

std::vector<std::uint64_t> known_at_the_end(const Ensemble& ensemble) {
  std::vector<std::uint64_t> known(ensemble.nodes.size(), 0);
  const auto at = [&](int index) -> std::uint64_t& { return known[static_cast<std::size_t>(index)]; };
  for (bool changed = true; changed;) {
    changed = false;
    for (int index = 0; index < static_cast<int>(ensemble.nodes.size()); ++index) {
      const auto& node = ensemble.nodes[static_cast<std::size_t>(index)];
      std::uint64_t sum = at(index) | std::uint64_t{1} << node.rank;
      for (int earlier : node.step->depends_on)
        sum |= at(ensemble.first[static_cast<std::size_t>(node.rank)] + earlier);
      if (receives(node.step->kind)) sum |= at(node.partner);
      changed = changed || sum != at(index);
      at(index) = sum;
    }
  }
  std::vector<std::uint64_t> last(static_cast<std::size_t>(ensemble.shape.ranks), 0);
  for (std::size_t rank = 0; rank < last.size(); ++rank) last[rank] = std::uint64_t{1} << rank;
  for (std::size_t index = 0; index < known.size(); ++index) {
    last[static_cast<std::size_t>(ensemble.nodes[index].rank)] |= known[index];
  }
  return last;
}

}  // namespace trireme::plan::proof
