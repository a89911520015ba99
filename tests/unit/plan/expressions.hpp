// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace trireme::plan::proof {

/// A promise of a plan that does not hold.
struct Broken : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A symbolic value: equal numbers are equal expressions.
using Value = int;
inline constexpr Value nothing = -1;  ///< never written, or being overwritten

/// All expressions seen so far, each once.
class Expressions {
 public:
  Value contribution(int rank, int block) { return intern({'c', rank, block}); }
  Value combined(Value left, Value right) { return intern({'+', left, right}); }
  Value finalized(Value value) { return intern({'f', value, 0}); }

  /// The ranks whose contributions to `block` occur, from left to right, with repetitions.
  /// Errors: Broken if a contribution to another block occurs or anything is finalized below the top.
  std::vector<int> ranks_in(Value value, int block) const;
  std::string text(Value value) const;

 private:
  struct Node {
    char kind;
    int a;
    int b;
    friend auto operator<=>(const Node&, const Node&) = default;
  };
  Value intern(Node node);
  void collect(Value value, int block, std::vector<int>& ranks) const;

  std::vector<Node> nodes_;
  std::map<Node, Value> known_;
};

/// The sums the contract promises for blocks 0 to `blocks` - 1: written from the contract alone, not with
/// layout::ReductionTree. Leaves are split among the ranks (the largest block at the largest power of two strictly
/// below its size, of equals the last), then the tree over all leaves is cut off at the ranks' blocks.
std::vector<Value> promised_sums(Expressions& expressions, int leaves, int ranks, int blocks);

/// Edges on the longest path from the root of that tree to a rank.
int promised_height(int leaves, int ranks);

}  // namespace trireme::plan::proof
