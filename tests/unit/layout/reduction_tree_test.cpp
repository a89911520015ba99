// SPDX-License-Identifier: Apache-2.0
#include "trireme/layout/reduction_tree.hpp"

#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace trireme::layout {
namespace {

/// The largest power of two strictly below n, by doubling.
int split_of(int n) {
  int split = 1;
  while (split * 2 < n) split *= 2;
  return split;
}

/// All nodes (first, count) of the balanced tree over [first, first + count).
void tree_nodes(int first, int count, std::set<std::pair<int, int>>& nodes) {
  nodes.insert({first, count});
  if (count == 1) return;
  tree_nodes(first, split_of(count), nodes);
  tree_nodes(first + split_of(count), count - split_of(count), nodes);
}

std::string combined(const std::string& left, const std::string& right) {
  std::string result{"("};
  result.append(left).append("+").append(right).append(")");
  return result;
}

/// The brackets of the balanced tree, spelled out over leaf names: "((0+1)+2)".
std::string brackets(int first, int count) {
  if (count == 1) return std::to_string(first);
  int split = split_of(count);
  return combined(brackets(first, split), brackets(first + split, count - split));
}

std::string run_postfix(std::span<const std::int16_t> program, const std::vector<std::string>& values) {
  std::vector<std::string> stack;
  for (std::int16_t token : program) {
    if (token != ReductionTree::combine) {
      stack.push_back(values.at(static_cast<std::size_t>(token)));
      continue;
    }
    std::string right = stack.at(stack.size() - 1);
    std::string left = stack.at(stack.size() - 2);
    stack.resize(stack.size() - 2);
    stack.push_back(combined(left, right));
  }
  REQUIRE(stack.size() == 1);
  return stack[0];
}

struct Fold {
  std::string value;
  int deepest = 0;
};

/// Folds leaves first .. first + count - 1 on a stack as combines_after says.
Fold fold(int first, int count) {
  std::vector<std::string> stack;
  Fold result;
  for (int leaf = 0; leaf < count; ++leaf) {
    stack.push_back(std::to_string(first + leaf));
    result.deepest = std::max(result.deepest, static_cast<int>(stack.size()));
    for (int k = combines_after(count, leaf); k > 0; --k) {
      REQUIRE(stack.size() >= 2);
      std::string right = stack.back();
      stack.pop_back();
      stack.back() = combined(stack.back(), right);
    }
  }
  REQUIRE(stack.size() == 1);
  result.value = stack[0];
  return result;
}

std::vector<int> counts(const std::vector<LeafBlock>& blocks) {
  std::vector<int> result;
  for (LeafBlock block : blocks) result.push_back(block.count);
  return result;
}

}  // namespace

TEST_CASE("Leaf blocks split the largest block, of equals the last") {
  REQUIRE(counts(leaf_blocks(8, 3)) == std::vector<int>{4, 2, 2});
  REQUIRE(counts(leaf_blocks(4, 3)) == std::vector<int>{2, 1, 1});
  REQUIRE(counts(leaf_blocks(8, 5)) == std::vector<int>{2, 2, 2, 1, 1});
  REQUIRE(counts(leaf_blocks(7, 2)) == std::vector<int>{4, 3});
  REQUIRE(counts(leaf_blocks(1, 1)) == std::vector<int>{1});
}

TEST_CASE("Every leaf block is a node of the tree over leaves, and blocks cover the leaves exactly") {
  for (int leaves = 1; leaves <= 70; ++leaves) {
    std::set<std::pair<int, int>> nodes;
    tree_nodes(0, leaves, nodes);
    for (int ranks = 1; ranks <= leaves; ++ranks) {
      std::vector<LeafBlock> blocks = leaf_blocks(leaves, ranks);
      REQUIRE(static_cast<int>(blocks.size()) == ranks);
      int next = 0;
      for (LeafBlock block : blocks) {
        REQUIRE(block.first == next);
        REQUIRE(nodes.count({block.first, block.count}) == 1);
        next += block.count;
      }
      REQUIRE(next == leaves);
    }
  }
}

TEST_CASE("Four leaves on three ranks add as r0+(r1+r2)") {
  ReductionTree tree = ReductionTree::contracted(4, 3);
  REQUIRE(run_postfix(tree.postfix(), {"r0", "r1", "r2"}) == "(r0+(r1+r2))");
  REQUIRE_FALSE(tree.equal_power_of_two_blocks());
}

TEST_CASE("Folding blocks and then running the postfix program gives the brackets of the tree for every rank count") {
  for (int leaves = 1; leaves <= 70; ++leaves) {
    std::string expected = brackets(0, leaves);
    for (int ranks = 1; ranks <= leaves; ++ranks) {
      std::vector<std::string> values;
      for (LeafBlock block : leaf_blocks(leaves, ranks)) values.push_back(fold(block.first, block.count).value);
      REQUIRE(run_postfix(ReductionTree::contracted(leaves, ranks).postfix(), values) == expected);
    }
  }
}

TEST_CASE("Nodes are the ranks, then inner nodes in postfix order with the ranks below them, the root last") {
  for (int leaves = 1; leaves <= 40; ++leaves) {
    for (int ranks = 1; ranks <= leaves; ++ranks) {
      ReductionTree tree = ReductionTree::contracted(leaves, ranks);
      auto nodes = tree.nodes();
      REQUIRE(static_cast<int>(nodes.size()) == 2 * ranks - 1);
      REQUIRE(tree.ranks() == ranks);
      REQUIRE(tree.leaves() == leaves);
      std::vector<int> stack;
      int next_inner = ranks;
      for (std::int16_t token : tree.postfix()) {
        if (token != ReductionTree::combine) {
          const auto& rank = nodes[static_cast<std::size_t>(token)];
          REQUIRE((rank.left == -1 && rank.right == -1 && rank.first_rank == token && rank.last_rank == token));
          stack.push_back(token);
          continue;
        }
        const auto& inner = nodes[static_cast<std::size_t>(next_inner)];
        REQUIRE(inner.right == stack.back());
        stack.pop_back();
        REQUIRE(inner.left == stack.back());
        REQUIRE(inner.first_rank == nodes[static_cast<std::size_t>(inner.left)].first_rank);
        REQUIRE(inner.last_rank == nodes[static_cast<std::size_t>(inner.right)].last_rank);
        REQUIRE(nodes[static_cast<std::size_t>(inner.left)].last_rank + 1 ==
                nodes[static_cast<std::size_t>(inner.right)].first_rank);
        stack.back() = next_inner++;
      }
      REQUIRE(stack == std::vector<int>{tree.root()});
    }
  }
}

TEST_CASE("Only a power of two of equal blocks calls itself binomial") {
  for (auto [leaves, ranks, equal] : std::vector<std::tuple<int, int, bool>>{{8, 8, true},
                                                                             {8, 4, true},
                                                                             {8, 2, true},
                                                                             {8, 1, true},
                                                                             {8, 3, false},
                                                                             {12, 3, false},
                                                                             {6, 3, false},
                                                                             {5, 1, true},
                                                                             {6, 2, false}}) {
    REQUIRE(ReductionTree::contracted(leaves, ranks).equal_power_of_two_blocks() == equal);
  }
}

TEST_CASE("A fold on a stack gives the tree's brackets and never holds more than fold_depth values") {
  REQUIRE(combines_after(4, 0) == 0);
  REQUIRE(combines_after(4, 1) == 1);
  REQUIRE(combines_after(4, 2) == 0);
  REQUIRE(combines_after(4, 3) == 2);
  for (int leaves = 1; leaves <= 300; ++leaves) {
    Fold result = fold(0, leaves);
    REQUIRE(result.value == brackets(0, leaves));
    REQUIRE(result.deepest == fold_depth(leaves));
  }
}

TEST_CASE("A tree over thousands of ranks has one node more than twice its inner nodes") {
  ReductionTree tree = ReductionTree::contracted(1 << 20, 10000);
  REQUIRE(tree.nodes().size() == 19999);
  REQUIRE(tree.nodes().back().last_rank == 9999);
}

TEST_CASE("Impossible trees are refused") {
  for (auto [leaves, ranks] :
       std::vector<std::pair<int, int>>{{4, 5}, {4, 0}, {0, 0}, {0, 1}, {-1, 1}, {40000, 32768}}) {
    try {
      ReductionTree::contracted(leaves, ranks);
      FAIL("accepted " << leaves << " leaves on " << ranks << " ranks");
    } catch (const Exception& e) {
      REQUIRE(e.error().code == ErrorCode::invalid_argument);
    }
  }
  REQUIRE_THROWS_WITH(leaf_blocks(4, 5), Catch::Contains("5 ranks for 4 leaves"));
}

}  // namespace trireme::layout
