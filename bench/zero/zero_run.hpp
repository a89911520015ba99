// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bench/zero/layered_model.hpp"
#include "trireme/parallel/memory_estimate.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace trireme::bench {

/// A way to train a LayeredModel with Adam.
struct ZeroCase {
  LayeredSize size{};
  int ranks = 1;
  int stage = 0;
  int leaves = 0;  ///< as DataParallelOptions::logical_shards
  LeafAssignment assignment = LeafAssignment::block;
  int shard_group = 0;
  std::string transport = "mem";  ///< of run_ranks
};

/// What a rank held, in bytes: `kept` is from before the first step, `most` at most.
struct RankMemory {
  parallel::MemoryEstimate estimate{};
  std::uint64_t own_values = 0;  ///< of the model
  std::uint64_t values_kept = 0, values_most = 0;
  std::uint64_t gradients_kept = 0, gradients_most = 0;
  std::uint64_t state = 0;  ///< of the optimizer, masters included
  std::int64_t heap =
      0;  ///< of the rank's thread at the end, `books` apart: own values, state, and what steps left behind
  std::int64_t books = 0;  ///< heap of a DataParallel without its steps: communicators (some 350 KB each), plans, names

  std::uint64_t kept() const { return own_values + values_kept + gradients_kept + state; }
  std::uint64_t transient() const { return values_most - values_kept + gradients_most - gradients_kept; }
  /// What the counting allocator and the arenas say together.
  double counted() const { return static_cast<double>(heap) + static_cast<double>(values_kept + gradients_kept); }
};

struct ZeroRun {
  std::size_t parameters = 0;
  std::vector<RankMemory> ranks;
  std::vector<double> sent;  ///< payload bytes per step, by rank; the first step apart
  /// Stage 3: values of the unit at the turn from forward to backward, which is used twice and gathered once; else 0.
  double turn_bytes = 0;
  std::string hash{};           ///< of the final weights
  bool same_everywhere = true;  ///< below stage 3: on every rank
};

/// Trains four steps on threads.  Errors: what the ranks throw.
ZeroRun run_zero(const ZeroCase& how);

}  // namespace trireme::bench
