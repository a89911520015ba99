// SPDX-License-Identifier: Apache-2.0
#include "trireme/layout/reduction_tree.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <limits>
#include <queue>
#include <string>

namespace trireme::layout {
namespace {

/// Leaves of the left child of a node of `count` > 1 leaves: the largest power of two strictly below `count`.
int left_count(int count) { return static_cast<int>(std::bit_floor(static_cast<unsigned>(count) - 1u)); }

void check(int leaves, int ranks) {
  constexpr int limit = std::numeric_limits<std::int16_t>::max();
  if (ranks < 1) {
    fail(ErrorCode::invalid_argument,
         "a reduction tree over " + std::to_string(ranks) + " ranks: give at least 1 rank");
  }
  if (ranks > leaves) {
    fail(ErrorCode::invalid_argument, std::to_string(ranks) + " ranks for " + std::to_string(leaves) +
                                          " leaves: every rank owns at least one leaf; raise the number of leaves "
                                          "(--logical-shards) or start fewer ranks");
  }
  if (ranks > limit) {
    fail(ErrorCode::invalid_argument, "a reduction tree over " + std::to_string(ranks) + " ranks: at most " +
                                          std::to_string(limit) + " fit into a postfix program");
  }
}

/// Walks the balanced tree down to the ranks' blocks and writes nodes and postfix program on the way up.
class Contraction {
 public:
  Contraction(std::span<const LeafBlock> blocks, std::vector<ReductionTree::Node>& nodes,
              std::vector<std::int16_t>& postfix)
      : blocks_(blocks), nodes_(nodes), postfix_(postfix) {}

  /// Returns the node of leaves [first, first + count). Recursion depth: at most log2(leaves) + 1.
  int visit(int first, int count) {
    if (blocks_[next_rank_] == LeafBlock{first, count}) {
      postfix_.push_back(static_cast<std::int16_t>(next_rank_));
      return static_cast<int>(next_rank_++);
    }
    int split = left_count(count);
    int left = visit(first, split);
    int right = visit(first + split, count - split);
    int first_rank = nodes_[static_cast<std::size_t>(left)].first_rank;
    int last_rank = nodes_[static_cast<std::size_t>(right)].last_rank;
    nodes_.push_back({left, right, first_rank, last_rank});
    postfix_.push_back(ReductionTree::combine);
    return static_cast<int>(nodes_.size()) - 1;
  }

 private:
  std::span<const LeafBlock> blocks_;
  std::vector<ReductionTree::Node>& nodes_;
  std::vector<std::int16_t>& postfix_;
  std::size_t next_rank_ = 0;
};

}  // namespace

std::vector<LeafBlock> leaf_blocks(int leaves, int ranks) {
  check(leaves, ranks);
  auto splits_later = [](LeafBlock a, LeafBlock b) {
    return a.count != b.count ? a.count < b.count : a.first < b.first;
  };
  std::priority_queue<LeafBlock, std::vector<LeafBlock>, decltype(splits_later)> by_size(splits_later);
  by_size.push({0, leaves});
  while (by_size.size() < static_cast<std::size_t>(ranks)) {
    LeafBlock block = by_size.top();
    by_size.pop();
    int split = left_count(block.count);
    by_size.push({block.first, split});
    by_size.push({block.first + split, block.count - split});
  }
  std::vector<LeafBlock> blocks;
  blocks.reserve(static_cast<std::size_t>(ranks));
  for (; !by_size.empty(); by_size.pop()) blocks.push_back(by_size.top());
  std::sort(blocks.begin(), blocks.end(), [](LeafBlock a, LeafBlock b) { return a.first < b.first; });
  return blocks;
}

ReductionTree ReductionTree::contracted(int leaves, int ranks) {
  std::vector<LeafBlock> blocks = leaf_blocks(leaves, ranks);
  ReductionTree tree;
  tree.ranks_ = ranks;
  tree.leaves_ = leaves;
  tree.equal_ = std::has_single_bit(static_cast<unsigned>(ranks)) &&
                std::all_of(blocks.begin(), blocks.end(), [&](LeafBlock b) { return b.count == blocks[0].count; });
  std::size_t size = 2 * static_cast<std::size_t>(ranks) - 1;
  tree.nodes_.reserve(size);
  tree.postfix_.reserve(size);
  for (int rank = 0; rank < ranks; ++rank) tree.nodes_.push_back({-1, -1, rank, rank});
  Contraction(blocks, tree.nodes_, tree.postfix_).visit(0, leaves);
  return tree;
}

int combines_after(int leaves, int leaf) {
  // Inner nodes whose last leaf is `leaf`: they lie on the path from the root to it.
  int combines = 0;
  while (leaves > 1) {
    if (leaf == leaves - 1) ++combines;
    int split = left_count(leaves);
    if (leaf < split) {
      leaves = split;
    } else {
      leaf -= split;
      leaves -= split;
    }
  }
  return combines;
}

int fold_depth(int leaves) { return static_cast<int>(std::bit_width(static_cast<unsigned>(leaves))); }

}  // namespace trireme::layout
