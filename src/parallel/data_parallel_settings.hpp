// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/parallel/data_parallel.hpp"

#include <string>

namespace trireme::parallel {

/// V of `ranks` ranks.
/// Errors: invalid_argument naming the option that does not fit it.
int settle_leaves(const DataParallelOptions& options, int ranks);

/// Refuses what the stage, groups and the assignment of leaves do not allow.
/// Errors: invalid_argument, unsupported, naming the option.
void check_sharding(const DataParallelOptions& options, int ranks, bool on_device);

/// What must be equal on all ranks, for comparison and complaint.
std::string settings_text(const DataParallelOptions& options, int leaves);

/// Which leaves are a rank's own: first, first + stride, …
struct OwnLeaves {
  int first = 0;
  int count = 1;
  int stride = 1;
  /// Passes of a step: count, or at stage 3, where passes communicate, as many as the rank has that has most; those behind the
  /// own leaves are of weight 0, identities behind the fold's last leaf, where they change no bracket.
  int passes = 1;
  /// In which leaves are reduced: count, when they are dealt out in turn; else 1.
  int rounds() const { return stride == 1 ? 1 : count; }
  int leaf(int index) const { return first + index * stride; }
};
OwnLeaves own_leaves(const DataParallelOptions& options, int leaves, int ranks, int rank);
/// Whether all ranks have as many.
bool own_leaves_alike(const DataParallelOptions& options, int leaves, int ranks);

}  // namespace trireme::parallel
