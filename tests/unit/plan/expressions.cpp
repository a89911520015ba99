// SPDX-License-Identifier: Apache-2.0
#include "unit/plan/expressions.hpp"

#include <algorithm>
#include <map>
#include <string>

namespace trireme::plan::proof {

Value Expressions::intern(Node node) {
  const auto [place, is_new] = known_.try_emplace(node, static_cast<Value>(nodes_.size()));
  if (is_new) nodes_.push_back(node);
  return place->second;
}

std::vector<int> Expressions::ranks_in(Value value, int block) const {
  std::vector<int> ranks;
  if (value != nothing && nodes_[static_cast<std::size_t>(value)].kind == 'f')
    value = nodes_[static_cast<std::size_t>(value)].a;
  collect(value, block, ranks);
  return ranks;
}

void Expressions::collect(Value value, int block, std::vector<int>& ranks) const {
  if (value == nothing) throw Broken("a value was never written");
  const Node& node = nodes_[static_cast<std::size_t>(value)];
  if (node.kind == 'f') throw Broken("a finalized value was added to another");
  if (node.kind == '+') {
    collect(node.a, block, ranks);
    collect(node.b, block, ranks);
    return;
  }
  if (node.b != block) throw Broken("a contribution to block " + std::to_string(node.b) + " got into another block");
  ranks.push_back(node.a);
}

std::string Expressions::text(Value value) const {
  if (value == nothing) return "nothing";
  const Node& node = nodes_[static_cast<std::size_t>(value)];
  std::string written;  // appended to: GCC 12 warns without cause about "literal" + std::string
  switch (node.kind) {
    case 'c':
      written.append("r").append(std::to_string(node.a)).append("[").append(std::to_string(node.b)).append("]");
      break;
    case 'f': written.append("final ").append(text(node.a)); break;
    default: written.append("(").append(text(node.a)).append(" + ").append(text(node.b)).append(")"); break;
  }
  return written;
}

namespace {

int power_of_two_below(int count) {
  int power = 1;
  while (power * 2 < count) power *= 2;
  return power;
}

/// Leaves of each rank by the first of them.
std::map<int, int> blocks_of(int leaves, int ranks) {
  std::map<int, int> blocks{{0, leaves}};
  while (static_cast<int>(blocks.size()) < ranks) {
    auto largest = blocks.begin();
    for (auto block = blocks.begin(); block != blocks.end(); ++block) {
      if (block->second >= largest->second) largest = block;
    }
    const int left = power_of_two_below(largest->second);
    blocks[largest->first + left] = largest->second - left;
    largest->second = left;
  }
  return blocks;
}

struct Builder {
  Expressions& expressions;
  const std::map<int, int>& blocks;
  const std::map<int, int>& rank_by_first_leaf;
  int block;

  Value sum(int first, int count) const {
    const auto own = blocks.find(first);
    if (own != blocks.end() && own->second == count) {
      return expressions.contribution(rank_by_first_leaf.at(first), block);
    }
    const int left = power_of_two_below(count);
    const Value below_left = sum(first, left);
    return expressions.combined(below_left, sum(first + left, count - left));
  }
};

int height(const std::map<int, int>& blocks, int first, int count) {
  const auto own = blocks.find(first);
  if (own != blocks.end() && own->second == count) return 0;
  const int left = power_of_two_below(count);
  return 1 + std::max(height(blocks, first, left), height(blocks, first + left, count - left));
}

}  // namespace

std::vector<Value> promised_sums(Expressions& expressions, int leaves, int ranks, int blocks) {
  const auto owned = blocks_of(leaves, ranks);
  std::map<int, int> rank_by_first_leaf;
  for (const auto& [first, count] : owned) rank_by_first_leaf.emplace(first, rank_by_first_leaf.size());
  std::vector<Value> sums;
  for (int block = 0; block < blocks; ++block) {
    sums.push_back(Builder{expressions, owned, rank_by_first_leaf, block}.sum(0, leaves));
  }
  return sums;
}

int promised_height(int leaves, int ranks) { return height(blocks_of(leaves, ranks), 0, leaves); }

}  // namespace trireme::plan::proof
