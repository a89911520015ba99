// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/bytes.hpp"
#include "trireme/base/parameter.hpp"
#include "trireme/optim/optimizer.hpp"
#include "trireme/parallel/data_parallel.hpp"

#include <cstddef>
#include <span>

namespace trireme::parallel {

/// Bytes of a parameter as ZeRO counts them: of its value, of its gradient where it is summed, and K of optimizer state,
/// masters included. f32 and Adam: 4, 4, K = 8; bf16 with f32 masters and Adam: 2, 4, K = 12.
struct ZeroWidths {
  double value = 4;
  double gradient = 4;
  double state = 8;
};

/// Bytes per parameter that each of N ranks keeps, v, g and K being the widths. Stage 0: v + g + K; 1: v + g + K/N;
/// 2: v + (g + K)/N; 3: (v + g + K)/N. Psi times it is ZeRO's formula: 16 Psi, 4 Psi + 12 Psi/N, … with v = g = 2, K = 12.
/// Errors: invalid_argument for a stage that there is not, or fewer than 1 rank.
/// Source: Rajbhandari et al., ZeRO, SC 2020 (arXiv 1910.02054), section 5.
double zero_bytes_per_parameter(int stage, int ranks, const ZeroWidths& widths);

/// Bytes per parameter that each of N ranks sends in a step. Stage 0, an all_reduce: 2 g (N-1)/N; 1 and 2, gradients to their
/// owners and values from them: (g + v)(N-1)/N; 3, where values are gathered for the forward and for the backward pass (but those at
/// the turn between them once):
/// (g + 2v)(N-1)/N. With v = g that is 2 Psi and 3 Psi of ZeRO, times (N-1)/N, Psi counted in bytes.
/// Errors: as zero_bytes_per_parameter().  Source: section 7 of the same.
double zero_wire_bytes_per_parameter(int stage, int ranks, const ZeroWidths& widths);

/// What training takes on one rank beside activations.
struct MemoryEstimate {
  std::size_t parameters = 0;   ///< Psi: elements of all
  Bytes values{};               ///< of parameters; below stage 3 they are the caller's, at 3 DataParallel's
  Bytes given_gradients{};      ///< that backward writes: the caller's, or views beside the fold; from stage 2 on none
  Bytes gradients{};            ///< that DataParallel keeps: whole, or owned, on each level of the fold
  Bytes optimizer_state{};      ///< as the rule declares it, of what this rank owns
  Bytes masters{};              ///< f32, of the 16-bit parameters among it
  Bytes transient_gradients{};  ///< buckets under way, at most: the two largest, beside those of units that stay open
                                ///< while others come and go (stages 2 and 3)
  Bytes transient_values{};     ///< whole units, at most while one is in use at a time: the two largest (stage 3)

  /// For as long as training runs.
  Bytes kept() const;
  Bytes most() const;
};

/// What `rank` of `ranks` holds if DataParallel with these options and this optimizer train the parameters: their dtypes, shapes and
/// counts are read, memory is neither read nor made. The plans are the ones training uses, so `values` at stage 3, `gradients` and
/// optimizer state are exact; they differ from Psi times zero_bytes_per_parameter() by where shards are cut (multiples of 4096
/// elements, so up to half of that per bucket and edge) and by gradients' beginning on lines of 64 bytes. With V leaves folded on a rank
/// there are log2(V/P) + 1 copies of gradients.
/// Not counted: activations, working memory of rules, what transports hold, books (some 350 KB per communicator, of which there are up to
/// five, and some hundred bytes per parameter).
/// Errors: as DataParallel for options that do not fit; invalid_argument for a rank that there is not or a rule that refuses the parts;
///         unsupported with row_sparse: what it takes depends on the rows touched.
MemoryEstimate estimate_memory(std::span<const Parameter> parameters, const DataParallelOptions& options,
                               const Optimizer& optimizer, int ranks, int rank);

}  // namespace trireme::parallel
