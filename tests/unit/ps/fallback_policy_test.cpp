// SPDX-License-Identifier: Apache-2.0
#include "ps/fallback_policy.hpp"

#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <vector>

using namespace trireme;
using namespace trireme::ps;

namespace {

/// Windows until the policy decides; none in `windows`.
int windows_until(FallbackPolicy& policy, const ReductionObservation& seen, int windows) {
  for (int w = 1; w <= windows; ++w) {
    if (policy.observe(seen)) return w;
  }
  return 0;
}

FallbackPolicy healthy_policy() {
  FallbackPolicy policy;
  for (const double seconds : {0.21, 0.2, 0.2}) policy.observe({.reduction_seconds = seconds});
  return policy;
}

}  // namespace

TEST_CASE("A job whose reductions stay as they were stays with all-reduce") {
  FallbackPolicy policy = healthy_policy();
  CHECK(policy.healthy_seconds() == 0.2);
  CHECK(windows_until(policy, {.reduction_seconds = 0.55}, 100) == 0);
  CHECK(policy.way() == GradientWay::all_reduce);
  CHECK_FALSE(policy.wants_probe());
}

TEST_CASE("Reductions that take several times as long move the job to servers, with the reason") {
  FallbackPolicy policy = healthy_policy();
  const ReductionObservation slow{.reduction_seconds = 4.0,
                                  .predicted_servers_seconds = 0.5,
                                  .detail = "the link between ranks 1 and 3 carries 1 Mbit/s"};
  CHECK_FALSE(policy.observe(slow));
  const auto decision = policy.observe(slow);
  REQUIRE(decision);
  CHECK(decision->to == GradientWay::servers);
  CHECK(decision->reason ==
        "all_reduce takes 4 s a step, and took 0.2 s when it was healthy (the link between ranks 1 and 3 carries 1 "
        "Mbit/s); servers are predicted to take 0.5 s");
  CHECK(policy.way() == GradientWay::servers);
}

TEST_CASE("One slow window moves nothing") {
  FallbackPolicy policy = healthy_policy();
  for (int i = 0; i < 50; ++i) {
    CHECK_FALSE(policy.observe({.reduction_seconds = 4.0}));
    CHECK_FALSE(policy.observe({.reduction_seconds = 0.2}));
  }
}

TEST_CASE("Servers that are predicted to be no faster move nothing") {
  FallbackPolicy policy = healthy_policy();
  CHECK(windows_until(policy, {.reduction_seconds = 4.0, .predicted_servers_seconds = 3.0}, 100) == 0);
  CHECK(windows_until(policy, {.reduction_seconds = 4.0, .predicted_servers_seconds = 2.0}, 100) == 2);
}

TEST_CASE("Reductions of a few milliseconds are not worth a change") {
  FallbackPolicy policy;
  for (int i = 0; i < 3; ++i) policy.observe({.reduction_seconds = 0.0001});
  CHECK(windows_until(policy, {.reduction_seconds = 0.02}, 100) == 0);
  CHECK(windows_until(policy, {.reduction_seconds = 0.05}, 100) == 2);
}

TEST_CASE("The job comes back when all-reduce would be faster, but not at once") {
  FallbackPolicy policy = healthy_policy();
  REQUIRE(windows_until(policy, {.reduction_seconds = 4.0}, 10) == 2);
  for (int i = 0; i < 20; ++i) CHECK_FALSE(policy.observe({.reduction_seconds = 0.5}));
  CHECK(policy.wants_probe());
  CHECK(windows_until(policy, {.reduction_seconds = 0.5, .probed_all_reduce_seconds = 0.45}, 50) == 0);
  const ReductionObservation again{.reduction_seconds = 0.5, .probed_all_reduce_seconds = 0.2};
  CHECK_FALSE(policy.observe(again));
  const auto decision = policy.observe(again);
  REQUIRE(decision);
  CHECK(decision->to == GradientWay::all_reduce);
  CHECK(decision->reason == "all_reduce would take 0.2 s a step again, servers take 0.5 s");
}

TEST_CASE("Each return that proves wrong makes the next stay with servers twice as long") {
  FallbackPolicy policy = healthy_policy();
  for (const int stay : {5, 10, 20, 40}) {
    REQUIRE(windows_until(policy, {.reduction_seconds = 4.0}, 10) == 2);
    CHECK(windows_until(policy, {.reduction_seconds = 0.5, .probed_all_reduce_seconds = 0.1}, 100) == stay);
  }
}

TEST_CASE("Probes that speak for servers become rare; one that does not is repeated at once") {
  FallbackPolicy policy({.between_probes = 8});
  for (int i = 0; i < 3; ++i) policy.observe({.reduction_seconds = 0.2});
  REQUIRE(windows_until(policy, {.reduction_seconds = 4.0}, 10) == 2);
  std::vector<int> probed;
  const auto window = [&](int number, double all_reduce) {
    ReductionObservation seen{.reduction_seconds = 0.5};
    if (policy.wants_probe()) {
      seen.probed_all_reduce_seconds = all_reduce;
      probed.push_back(number);
    }
    return policy.observe(seen);
  };
  for (int number = 1; number <= 30; ++number) CHECK_FALSE(window(number, 4.0));
  CHECK(probed == std::vector<int>{5, 6, 8, 12, 20, 28});
  int number = 31;
  while (!window(number, 0.1) && number < 100) ++number;
  CHECK(probed == std::vector<int>{5, 6, 8, 12, 20, 28, 36, 37});
  CHECK(policy.way() == GradientWay::all_reduce);
}

TEST_CASE("Ranks that are told the same decide the same") {
  FallbackPolicy one = healthy_policy(), other = healthy_policy();
  unsigned state = 7;
  for (int i = 0; i < 2000; ++i) {
    state = state * 1664525u + 1013904223u;
    const ReductionObservation seen{.reduction_seconds = 0.1 * static_cast<double>(state >> 26),
                                    .probed_all_reduce_seconds = 0.05 * static_cast<double>((state >> 20) & 63u)};
    const auto a = one.observe(seen), b = other.observe(seen);
    REQUIRE(a.has_value() == b.has_value());
    if (a) CHECK(a->reason == b->reason);
  }
}

TEST_CASE("Factors out of order are refused") {
  CHECK_THROWS_AS(FallbackPolicy({.worse_than_healthy = 0.5}), Exception);
  CHECK_THROWS_AS(FallbackPolicy({.better_than_servers = 2.0}), Exception);
  CHECK_THROWS_AS(FallbackPolicy({.patience = 0}), Exception);
  CHECK_THROWS_AS(FallbackPolicy({.between_probes = 0}), Exception);
}
