// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/layout/reduction_tree.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace trireme::comm {

/// The canonical brackets over the ranks of one communicator, per number of leaves; made once, then looked up.
class Programs {
 public:
  explicit Programs(int ranks) : ranks_(ranks) {}
  std::span<const std::int16_t> of(int leaves) {
    for (const auto& each : known_) {
      if (each.leaves == leaves) return each.postfix;
    }
    const auto tree = layout::ReductionTree::contracted(leaves, ranks_);
    known_.push_back({leaves, {tree.postfix().begin(), tree.postfix().end()}});
    return known_.back().postfix;
  }

 private:
  struct Known {
    int leaves;
    std::vector<std::int16_t> postfix;
  };
  int ranks_;
  std::vector<Known> known_;
};

}  // namespace trireme::comm
