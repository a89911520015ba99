// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "plan/algorithms.hpp"
#include "trireme/plan/graph.hpp"

#include <string>

namespace trireme::plan {

/// One algorithm for one collective.
struct TableRow {
  Algorithm algorithm;
  Collective collective;
  bool canonical;                 ///< brackets of the contracted tree, or nothing is added
  bool (*defined)(const Shape&);  ///< for a well-formed shape
  const char* needs;              ///< when it is defined, as a clause: "it needs …"
  Plan (*make)(const Shape&, int rank);
  Cost (*cost)(const CostQuery&);
};

/// The row for (algorithm, shape.collective), for this shape and rank.
/// Errors: invalid_argument when the shape or rank is malformed or the algorithm not defined for it.
const TableRow& row_for(Algorithm algorithm, const Shape& shape, int rank);

}  // namespace trireme::plan
