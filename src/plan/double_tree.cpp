// SPDX-License-Identifier: Apache-2.0
#include "plan/double_tree.hpp"

#include "plan/algorithms.hpp"

#include <array>
#include <cstdint>
#include <deque>
#include <utility>

namespace trireme::plan {
namespace {

constexpr int halves = 2;

/// (parent, child) of the tree in order over the positions 1 to `count`, by depth. The root of a part is the largest
/// power of two in it, counted from the part's beginning, which leaves every odd position a leaf.
std::vector<std::pair<int, int>> in_order_edges(int count) {
  struct Part {
    int parent;
    int before;  ///< the position before its first
    int size;
  };
  std::vector<std::pair<int, int>> edges;
  std::deque<Part> parts{{0, 0, count}};
  for (; !parts.empty(); parts.pop_front()) {
    const Part part = parts.front();
    if (part.size == 0) continue;
    int below = 1;
    while (below * 2 <= part.size) below *= 2;
    const int root = part.before + below;
    edges.emplace_back(part.parent, root);
    parts.push_back({root, part.before, below - 1});
    parts.push_back({root, root, part.size - below});
  }
  return edges;
}

}  // namespace

DoubleTree::DoubleTree(int ranks) {
  const int others = ranks - 1;
  const auto in_other_tree = [&](int position) {
    if (position == 0) return 0;
    if (others % 2 == 0) return others + 1 - position;
    return position == 1 ? others : position - 1;
  };
  std::vector<Edge> waiting;
  for (auto [parent, child] : in_order_edges(others)) {
    waiting.push_back({0, parent, child});
    waiting.push_back({1, in_other_tree(parent), in_other_tree(child)});
  }
  for (auto& of_tree : children_) of_tree.assign(index(ranks), 0);
  for (const Edge& edge : waiting) ++children_[index(edge.tree)][index(edge.parent)];
  schedule(std::move(waiting), ranks);
}

/// Round by round, whatever can be sent is, edges near the root first.
void DoubleTree::schedule(std::vector<Edge> waiting, int ranks) {
  std::array<std::vector<int>, halves> known_after;  // by place: the round in which it gets its half, -1 before
  for (auto& of_tree : known_after) of_tree.assign(index(ranks), -1);
  known_after[0][0] = known_after[1][0] = 0;
  std::vector<int> sent_in(index(ranks), 0);
  std::vector<int> received_in(index(ranks), 0);
  while (!waiting.empty()) {
    ++rounds_;
    std::vector<Edge> later;
    for (const Edge& edge : waiting) {
      const int known = known_after[index(edge.tree)][index(edge.parent)];
      int& sends = sent_in[index(edge.parent)];
      int& receives = received_in[index(edge.child)];
      if (known < 0 || known >= rounds_ || sends == rounds_ || receives == rounds_) {
        later.push_back(edge);
        continue;
      }
      sends = receives = known_after[index(edge.tree)][index(edge.child)] = rounds_;
      edges_.push_back(edge);
    }
    waiting = std::move(later);
  }
}

Plan double_tree_broadcast(const Shape& shape, int rank) {
  const DoubleTree trees(shape.ranks);
  const int place = wrap(rank - shape.root, shape.ranks);
  const auto rank_at = [&](int other) { return wrap(other + shape.root, shape.ranks); };
  GraphBuilder builder(halves, {0, halves}, {0, halves});
  for (const auto& edge : trees.edges()) {
    if (edge.parent == place) builder.send(rank_at(edge.child), edge.tree, caller_output);
    if (edge.child == place) builder.recv(rank_at(edge.parent), edge.tree, caller_output);
  }
  return builder.finish();
}

/// A place adds what its children sent to its own contribution in one pass, in the order of arrival in the rounds: not
/// the brackets of the contracted tree.
Plan double_tree_reduce(const Shape& shape, int rank) {
  const DoubleTree trees(shape.ranks);
  const int place = wrap(rank - shape.root, shape.ranks);
  const auto rank_at = [&](int other) { return wrap(other + shape.root, shape.ranks); };
  GraphBuilder builder(halves, {0, halves}, {0, place == 0 ? halves : 0});
  std::array<std::vector<Operand>, halves> terms{std::vector{caller_input}, std::vector{caller_input}};
  const auto& edges = trees.edges();
  for (auto edge = edges.rbegin(); edge != edges.rend(); ++edge) {
    std::vector<Operand>& sum = terms[static_cast<std::size_t>(edge->tree)];
    if (edge->child == place) builder.send(rank_at(edge->parent), edge->tree, sum.front());
    if (edge->parent != place) continue;
    const bool raw = trees.children(edge->tree, edge->child) == 0;
    sum.push_back(builder.scratch(edge->tree, raw ? Role::input : Role::partial));
    builder.recv(rank_at(edge->child), edge->tree, sum.back());
    const auto arrived = static_cast<int>(sum.size()) - 1;
    if (arrived < trees.children(edge->tree, place)) continue;
    std::vector<std::int16_t> program{0};
    for (int term = 1; term <= arrived; ++term) program.insert(program.end(), {static_cast<std::int16_t>(term), -1});
    const Operand destination = place == 0 ? caller_output : builder.scratch(edge->tree, Role::partial);
    builder.load_reduce(edge->tree, std::move(sum), std::move(program), destination);
    sum = {destination};
  }
  return builder.finish();
}

Cost double_tree_broadcast_cost(const CostQuery& query) {
  const DoubleTree trees(query.shape.ranks);
  const int place = wrap(query.rank - query.shape.root, query.shape.ranks);
  Cost cost{.steps = trees.rounds()};
  for (int half = 0; half < halves; ++half) {
    const auto children = static_cast<std::size_t>(trees.children(half, place));
    cost.messages += children;
    cost.payload_bytes += children * elements_of({half, 1}, query.count, halves).size() * query.element.output;
  }
  return cost;
}

Cost double_tree_reduce_cost(const CostQuery& query) {
  const DoubleTree trees(query.shape.ranks);
  const int place = wrap(query.rank - query.shape.root, query.shape.ranks);
  Cost cost{.steps = trees.rounds()};
  for (int half = 0; half < halves; ++half) {
    const auto children = static_cast<std::size_t>(trees.children(half, place));
    const std::size_t size = elements_of({half, 1}, query.count, halves).size();
    cost.reduced_elements += children * size;
    if (place == 0) continue;
    cost.messages += 1;
    cost.payload_bytes += size * (children == 0 ? query.element.input : query.element.partial);
  }
  return cost;
}

}  // namespace trireme::plan
