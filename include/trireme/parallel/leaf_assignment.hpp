// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace trireme {

/// Which leaves of the global batch are a rank's own. The tree over the V leaves is the same, and so is every bit.
enum class LeafAssignment : unsigned char {
  block,  ///< an aligned block of consecutive leaves, folded on the rank: log2(V/P)+1 gradients of memory, reduced once
  cyclic,  ///< leaves r, P+r, 2P+r, … of rank r: each round of P leaves is reduced, V/P times the traffic, and the rounds'
           ///< sums are folded by who owns them: log2(V/P)+1 shards of memory. P a power of two
};

/// "block", "cyclic".
constexpr std::string_view name_of(LeafAssignment assignment) {
  return assignment == LeafAssignment::block ? "block" : "cyclic";
}

}  // namespace trireme
