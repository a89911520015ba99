// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/plan/cost.hpp"
#include "trireme/plan/graph.hpp"

#include <optional>
#include <string>
#include <vector>

namespace trireme::plan {

/// Whether `algorithm` is defined for `shape`; if not, one sentence why. Canonical, at any number of ranks: all_reduce:
/// direct, tree; reduce_scatter: direct; reduce: rooted, tree. With equal blocks of leaves on a power of two of ranks
/// also all_reduce: recursive_doubling, halving_doubling. Not canonical, any ranks: all_reduce and reduce_scatter:
/// ring; reduce: double_tree. Nothing is added by all_gather: ring, bruck, direct; broadcast: tree, double_tree, ring;
/// gather and scatter: rooted, tree; all_to_all: direct; barrier: recursive_doubling at powers of two, tree otherwise.
struct Definedness {
  bool defined = false;
  bool canonical = false;
  std::string reason{};  ///< empty when defined
};
Definedness definedness(Algorithm algorithm, const Shape& shape);

/// All algorithms defined for `shape`, canonical ones only if asked.
std::vector<Algorithm> defined_algorithms(const Shape& shape, bool canonical_only);

/// The steps of `rank`. Pure: no I/O, no threads, no state.
/// Errors: invalid_argument when the shape or rank is malformed or the algorithm is not defined for the shape; the
/// message names the algorithms that are.
Plan make_plan(Algorithm algorithm, const Shape& shape, int rank);

}  // namespace trireme::plan
