// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <vector>

namespace trireme::plan {

/// Two binary trees over the places 1 to P - 1, one for each half of the data, both below place 0: inner places of one
/// are leaves of the other, so every place passes on as much as it gets. Tree 0 is in order, with the even places
/// inside; tree 1 is its mirror image when P - 1 is even, and otherwise is shifted by one.
/// Source: Sanders, Speck, Träff, Two-tree algorithms for full bandwidth broadcast, reduction and scan, Parallel
/// Computing 35(12), 2009.
class DoubleTree {
 public:
  struct Edge {
    int tree = 0;
    int parent = 0;
    int child = 0;
  };

  /// Shape: ranks >= 2.
  explicit DoubleTree(int ranks);

  /// Downwards, in an order in which every place can send and receive its messages, one of each at a time. The reverse
  /// is one for the way up.
  const std::vector<Edge>& edges() const { return edges_; }
  /// Rounds it takes so, about 2 log2 P; as many upwards.
  int rounds() const { return rounds_; }
  int children(int tree, int place) const { return children_[index(tree)][index(place)]; }

 private:
  static std::size_t index(int value) { return static_cast<std::size_t>(value); }
  void schedule(std::vector<Edge> waiting, int ranks);

  std::vector<Edge> edges_;
  std::array<std::vector<int>, 2> children_;
  int rounds_ = 0;
};

}  // namespace trireme::plan
