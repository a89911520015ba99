// SPDX-License-Identifier: Apache-2.0
#include "trireme/ps/fallback.hpp"

#include "ps/fallback_policy.hpp"
#include "trireme/base/dtype.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <limits>
#include <span>
#include <utility>

namespace trireme::ps {
namespace {

double seconds_of(const std::function<void()>& call) {
  const auto began = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

}  // namespace

double seconds_with_servers(const LinkSpeeds& links, Bytes gradients, double worse_than_servers) {
  constexpr double no_reason = std::numeric_limits<double>::infinity();
  const std::size_t servers = links.well_connected().size();
  if (servers == links.ranks) return no_reason;  // all are well connected, or none is better than the others
  const double seconds = links.servers_seconds(gradients, servers);
  return links.all_reduce_seconds(gradients) > worse_than_servers * seconds ? seconds : no_reason;
}

Fallback::Fallback(DataParallel& data_parallel, FallbackOptions options)
    : data_parallel_(data_parallel),
      options_(std::move(options)),
      policy_(std::make_unique<FallbackPolicy>(options_.policy)) {
  if (!options_.servers) fail(ErrorCode::invalid_argument, "a fallback needs to know which servers to go to");
  if (options_.window < 2 || options_.window_on_servers == 0)
    fail(
        ErrorCode::invalid_argument,
        "a fallback looks every so many steps, at least every 2 on all_reduce: what the ends of an ill link wait for in one "
        "step others may wait for in the next");
}

Fallback::~Fallback() = default;

GradientWay Fallback::way() const { return policy_->way(); }

std::optional<std::string> Fallback::after(const Step& step) {
  if (options_.healthy_by_links && !links_) begin();
  part_from_former();
  const bool on_servers = policy_->way() == GradientWay::servers;
  seconds_.push_back(options_.seconds ? options_.seconds(step) : step.reduction_seconds());
  if (seconds_.size() < (on_servers ? options_.window_on_servers : options_.window)) return std::nullopt;
  ReductionObservation seen{.reduction_seconds = window_seconds()};
  if (!on_servers && policy_->is_ill(seen.reduction_seconds)) examine(seen);
  if (policy_->wants_probe()) probe(seen);
  auto decision = policy_->observe(seen);
  if (!decision) return std::nullopt;
  change(*decision);
  return std::move(decision->reason);
}

void Fallback::begin() {
  links_ = measure_links(data_parallel_.communicator(), options_.link_payload);
  LinkSpeeds usual = *links_;
  std::fill(usual.bytes_per_second.begin(), usual.bytes_per_second.end(), links_->median());
  const double healthy = usual.all_reduce_seconds(gradient_bytes());
  for (std::uint32_t window = 0; window < options_.policy.baseline; ++window)
    static_cast<void>(policy_->observe({.reduction_seconds = healthy}));
}

/// A step lies between each two of these, and all ranks meet in it.
void Fallback::part_from_former() {
  left_.reset();
  if (!former_) return;
  if (former_->leave) former_->leave();
  left_ = std::move(former_);
  former_.reset();
}

/// What links carry now, and what servers could make of it.
void Fallback::examine(ReductionObservation& seen) {
  if (spared_ > 0) {
    --spared_;
    seen.predicted_servers_seconds = std::numeric_limits<double>::infinity();
    return;
  }
  links_ = measure_links(data_parallel_.communicator(), options_.link_payload);
  seen.detail = links_->ranks > 1 ? links_->to_string() : "";
  if (!options_.predict) return;
  seen.predicted_servers_seconds = options_.predict(*links_, gradient_bytes());
  if (!std::isfinite(*seen.predicted_servers_seconds)) spared_ = options_.spare;
}

/// What links say and what all_reduce itself takes: the worse counts, as a small all_reduce may avoid a link that a large one needs.
/// While links alone forbid it, there is no need to wait for another.
void Fallback::probe(ReductionObservation& seen) {
  links_ = measure_links(data_parallel_.communicator(), options_.link_payload);
  double seconds = links_->all_reduce_seconds(gradient_bytes());
  if (policy_->is_better(seconds, seen.reduction_seconds)) seconds = std::max(seconds, probe_all_reduce());
  seen.probed_all_reduce_seconds = seconds;
  seen.detail = links_->ranks > 1 ? links_->to_string() : "";
}

void Fallback::change(const FallbackDecision& decision) {
  const bool to_servers = decision.to == GradientWay::servers;
  if (to_servers) {
    servers_ = options_.servers(*links_);
    data_parallel_.use(servers_->synchronizer);
  } else {
    data_parallel_.use(nullptr);
    former_ = std::move(servers_);
    servers_.reset();
  }
  if (data_parallel_.communicator().rank() != 0) return;
  options_.log(LogLevel::warning, (to_servers ? "to parameter servers: " : "back to all_reduce: ") + decision.reason);
}

void Fallback::leave() {
  for (auto* each : {&servers_, &former_}) {
    if (*each && (*each)->leave) (*each)->leave();
  }
}

/// The median step of the window (of an even number the longer one of the two in the middle), on the rank that waited least.
double Fallback::window_seconds() {
  std::sort(seconds_.begin(), seconds_.end());
  std::array<double, 1> least{seconds_[seconds_.size() / 2]};
  seconds_.clear();
  Communicator communicator = data_parallel_.communicator();
  communicator.all_reduce(std::span<double>(least), minimum, {.label = "seconds of reductions"});
  return least[0];
}

Bytes Fallback::gradient_bytes() const {
  std::uint64_t bytes = 0;
  for (const Parameter& parameter : data_parallel_.parameters())
    bytes += parameter.gradient.count * size_of(accumulator_of(parameter.gradient.dtype));
  return Bytes{bytes};
}

/// What all gradients would take, from two sizes: a constant and a slope. The slowest rank's word counts.
double Fallback::probe_all_reduce() {
  Communicator communicator = data_parallel_.communicator();
  const std::size_t large = std::max<std::size_t>(options_.probe.value / sizeof(float), 64), small = large / 16;
  std::vector<float> zeros(large, 0.0f);
  std::array<double, 2> seconds{};
  for (const std::size_t i : {0u, 1u}) {
    const std::span<float> part = std::span(zeros).first(i == 0 ? small : large);
    communicator.barrier({.label = "all_reduce probe"});
    seconds[i] = seconds_of([&] { communicator.all_reduce(part, sum, {.label = "all_reduce probe"}); });
  }
  communicator.all_reduce(std::span<double>(seconds), maximum, {.label = "all_reduce probe"});
  const double slope = std::max(0.0, seconds[1] - seconds[0]) / static_cast<double>((large - small) * sizeof(float));
  return seconds[0] + slope * static_cast<double>(gradient_bytes().value);
}

}  // namespace trireme::ps
