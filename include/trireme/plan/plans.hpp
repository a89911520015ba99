// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/plan/cost.hpp"
#include "trireme/plan/graph.hpp"

#include <optional>
#include <string>
#include <vector>

namespace trireme::plan {

/// Whether `algorithm` is defined for `shape`; if not, one sentence why.
/// all_reduce: direct, tree: any ranks and leaves; recursive_doubling: power of two, equal blocks; ring: any ranks, not
/// canonical. reduce_scatter: direct; ring, not canonical. all_gather: ring. broadcast: tree. barrier:
/// recursive_doubling at powers of two, tree otherwise.
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
