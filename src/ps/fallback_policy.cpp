// SPDX-License-Identifier: Apache-2.0
#include "ps/fallback_policy.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <cstdio>
#include <limits>

namespace trireme::ps {
namespace {

std::string seconds_text(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g s", seconds);
  return text;
}

std::string in_brackets(const std::string& detail) { return detail.empty() ? "" : " (" + detail + ")"; }

}  // namespace

FallbackPolicy::FallbackPolicy(const FallbackPolicyOptions& options) : options_(options), stay_(options.stay) {
  const bool in_order = options.worse_than_healthy > 1 && options.worse_than_servers >= 1 &&
                        options.better_than_servers > 0 && options.better_than_servers <= 1 &&
                        options.least_seconds >= 0 && options.baseline > 0 && options.patience > 0 &&
                        options.between_probes > 0;
  if (!in_order) {
    fail(
        ErrorCode::invalid_argument,
        "a fallback leaves when reductions are slower, by factors above 1, and comes back when they are faster, by one up "
        "to 1; baseline, patience and between_probes are at least 1");
  }
}

std::optional<double> FallbackPolicy::healthy_seconds() const {
  if (first_.size() < options_.baseline) return std::nullopt;
  std::vector<double> sorted = first_;
  std::sort(sorted.begin(), sorted.end());
  return sorted[sorted.size() / 2];
}

std::optional<FallbackDecision> FallbackPolicy::observe(const ReductionObservation& seen) {
  ++windows_;
  auto decision = way_ == GradientWay::all_reduce ? leave(seen) : come_back(seen);
  if (!decision) return decision;
  way_ = decision->to;
  windows_ = in_a_row_ = next_probe_ = 0;
  between_probes_ = 1;
  if (way_ == GradientWay::all_reduce && stay_ < std::numeric_limits<std::uint32_t>::max() / 2) stay_ *= 2;
  return decision;
}

bool FallbackPolicy::agreed(bool wants) {
  in_a_row_ = wants ? in_a_row_ + 1 : 0;
  return in_a_row_ >= options_.patience;
}

// What was next to nothing when all was well is no measure: then the least that matters is.
bool FallbackPolicy::is_ill(double seconds) const {
  const auto healthy = healthy_seconds();
  return healthy && seconds > options_.worse_than_healthy * std::max(*healthy, options_.least_seconds);
}

std::optional<FallbackDecision> FallbackPolicy::leave(const ReductionObservation& seen) {
  const auto healthy = healthy_seconds();
  if (!healthy) {
    first_.push_back(seen.reduction_seconds);
    return std::nullopt;
  }
  const double now = seen.reduction_seconds;
  const bool servers_help =
      !seen.predicted_servers_seconds || now > options_.worse_than_servers * *seen.predicted_servers_seconds;
  if (!agreed(is_ill(now) && servers_help)) return std::nullopt;
  std::string reason = "all_reduce takes " + seconds_text(now) + " a step, and took " + seconds_text(*healthy) +
                       " when it was healthy" + in_brackets(seen.detail);
  if (seen.predicted_servers_seconds)
    reason += "; servers are predicted to take " + seconds_text(*seen.predicted_servers_seconds);
  return FallbackDecision{GradientWay::servers, std::move(reason)};
}

// Where both are fast again, all-reduce needs no servers.
bool FallbackPolicy::is_better(double probed, double servers) const {
  const auto healthy = healthy_seconds();
  return probed < options_.better_than_servers * servers ||
         (healthy && probed <= std::max(*healthy, options_.least_seconds));
}

std::optional<FallbackDecision> FallbackPolicy::come_back(const ReductionObservation& seen) {
  const bool better =
      seen.probed_all_reduce_seconds && is_better(*seen.probed_all_reduce_seconds, seen.reduction_seconds);
  if (seen.probed_all_reduce_seconds && !better) {
    next_probe_ = windows_ + between_probes_;
    between_probes_ = std::min(2 * between_probes_, options_.between_probes);
  } else if (better) {
    between_probes_ = 1;
  }
  if (!agreed(better) || windows_ < stay_) return std::nullopt;
  return FallbackDecision{GradientWay::all_reduce, "all_reduce would take " +
                                                       seconds_text(*seen.probed_all_reduce_seconds) +
                                                       " a step again, servers take " +
                                                       seconds_text(seen.reduction_seconds) + in_brackets(seen.detail)};
}

}  // namespace trireme::ps
