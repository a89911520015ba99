// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/ps/fallback.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace trireme::ps {

/// What was seen in a window of steps; the same numbers on every rank.
struct ReductionObservation {
  double reduction_seconds =
      0.0;  ///< a step waited for its reduction, on the rank that waited least: who waits for a slow
            ///< worker waits longer, the worker itself only for the links
  std::optional<double> predicted_servers_seconds{};  ///< on all-reduce: MeasuredSplit::seconds, say
  std::optional<double> probed_all_reduce_seconds{};  ///< with servers: what all-reduce would take now
  std::string detail{};  ///< for the reason: "the link between ranks 1 and 3 carries 1 Mbit/s"
};

/// To go another way, and why.
struct FallbackDecision {
  GradientWay to = GradientWay::all_reduce;
  std::string reason;
};

/// The decisions of a job that falls back: a function of what it has been told, so that ranks that are told the same decide the
/// same. Slow to leave, slower to come back, and slower still when coming back proved wrong.
class FallbackPolicy {
 public:
  /// Errors: invalid_argument for factors that are not in order.
  explicit FallbackPolicy(const FallbackPolicyOptions& options = {});

  /// One window of the way gone now. A decision is assumed to be carried out.
  std::optional<FallbackDecision> observe(const ReductionObservation& seen);
  GradientWay way() const { return way_; }
  /// Whether reductions of all-reduce that take so long are a reason to look closer.
  bool is_ill(double seconds) const;
  /// Whether the next window wants to know what all-reduce would take.
  bool wants_probe() const { return way_ == GradientWay::servers && windows_ + 1 >= std::max(stay_, next_probe_); }
  /// Whether all-reduce that would take `probed` is a reason to come back from servers that take `servers`.
  bool is_better(double probed, double servers) const;
  /// Healthy seconds of a reduction; none: not known yet.
  std::optional<double> healthy_seconds() const;

 private:
  std::optional<FallbackDecision> leave(const ReductionObservation& seen);
  std::optional<FallbackDecision> come_back(const ReductionObservation& seen);
  bool agreed(bool wants);

  FallbackPolicyOptions options_;
  GradientWay way_ = GradientWay::all_reduce;
  std::vector<double> first_;   ///< the first windows of all-reduce
  std::uint32_t windows_ = 0;   ///< on this way
  std::uint32_t in_a_row_ = 0;  ///< that want the other one
  std::uint32_t stay_ = 0;
  std::uint32_t next_probe_ = 0;  ///< not before this window on servers
  std::uint32_t between_probes_ =
      1;  ///< a probe waits for the link that is ill: it must not become what the job waits for
};

}  // namespace trireme::ps
