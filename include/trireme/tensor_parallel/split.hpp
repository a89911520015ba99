// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/layout/interval.hpp"

#include <cstddef>
#include <vector>

namespace trireme::tensor_parallel {

/// A row-major tensor {outer, extent, inner} of which the ranks of an axis share the middle dimension: rank r of P has
/// units [floor(r*n/P), floor((r+1)*n/P)) of its n = extent/unit units. Any extent: shares differ by at most one unit, and may
/// be empty. A rank's share is the row-major tensor {outer, its share, inner}.
/// Examples: the rows of a weight {outputs, inputs}: {1, outputs, inputs}; its columns: {outputs, inputs, 1}; the rows of a
///           fused q, k and v, each shared by itself, in whole heads: {3, channels, inputs, channels of a head}.
struct Split {
  std::size_t outer = 1;
  std::size_t extent = 0;
  std::size_t inner = 1;
  std::size_t unit = 1;  ///< a divisor of extent: what stays together

  std::size_t count() const { return outer * extent * inner; }
  /// What rank `rank` of `ranks` has of the middle dimension.
  layout::Interval share(int rank, int ranks) const;
  /// Elements of that rank's share.
  std::size_t share_count(int rank, int ranks) const { return outer * share(rank, ranks).size() * inner; }
  /// Where those elements stand in the logical tensor, in the order of the share: for initial values, which are defined on the
  /// logical tensor, and for checkpoints.
  std::vector<layout::Interval> ranges(int rank, int ranks) const;
  /// Errors: invalid_argument when the unit is not a divisor of the extent.
  void check() const;
};

}  // namespace trireme::tensor_parallel
