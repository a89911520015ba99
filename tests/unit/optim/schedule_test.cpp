// SPDX-License-Identifier: Apache-2.0
#include "trireme/optim/schedule.hpp"

#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <cmath>

using namespace trireme;
using Catch::Matchers::Contains;

namespace {

const double pi = std::acos(-1.0);

ScheduleKind kind_at(int index) { return static_cast<ScheduleKind>(index); }

Schedule of(ScheduleKind kind, std::uint64_t warmup) {
  return {.kind = kind,
          .warmup_steps = kind == ScheduleKind::one_cycle ? 0 : warmup,
          .total_steps = 100,
          .final_factor = 0.1};
}

}  // namespace

TEST_CASE("a schedule rises linearly to 1, and to 1 exactly, in its warm-up") {
  for (int k = 0; k < schedule_kind_count; ++k) {
    if (kind_at(k) == ScheduleKind::one_cycle) continue;
    const Schedule schedule = of(kind_at(k), 10);
    CAPTURE(name_of(schedule.kind));
    for (std::uint64_t t = 1; t <= 10; ++t) REQUIRE(schedule.factor(t) == static_cast<double>(t) / 10.0);
    REQUIRE(of(kind_at(k), 0).factor(1) == 1.0);
  }
}

TEST_CASE("schedules follow their formulas behind the warm-up and stay where they end") {
  const std::uint64_t warmup = GENERATE(0, 10);
  const double begin = warmup == 0 ? 1.0 : 10.0;
  for (std::uint64_t t = 11; t <= 130; ++t) {
    const double x = std::min((static_cast<double>(t) - begin) / (100.0 - begin), 1.0);
    CAPTURE(warmup, t);
    REQUIRE(of(ScheduleKind::constant, warmup).factor(t) == 1.0);
    REQUIRE(of(ScheduleKind::linear, warmup).factor(t) == Approx(1 - 0.9 * x).epsilon(1e-14));
    REQUIRE(of(ScheduleKind::cosine, warmup).factor(t) == Approx(0.1 + 0.45 * (1 + std::cos(pi * x))).epsilon(1e-14));
    Schedule polynomial = of(ScheduleKind::polynomial, warmup);
    polynomial.power = 1.5;
    REQUIRE(polynomial.factor(t) == Approx(0.1 + 0.9 * std::pow(1 - x, 1.5)).epsilon(1e-13));
    Schedule steps = of(ScheduleKind::step, warmup);
    steps.interval = 20;
    REQUIRE(steps.factor(t) == Approx(std::pow(0.1, std::floor((static_cast<double>(t) - begin) / 20))).epsilon(1e-13));
    REQUIRE(of(ScheduleKind::inverse_sqrt, warmup).factor(t) ==
            Approx(std::sqrt(begin / static_cast<double>(t))).epsilon(1e-14));
  }
  for (const ScheduleKind kind :
       {ScheduleKind::linear, ScheduleKind::cosine, ScheduleKind::polynomial, ScheduleKind::one_cycle}) {
    REQUIRE(of(kind, warmup).factor(100) == Approx(0.1).epsilon(1e-15));
    REQUIRE(of(kind, warmup).factor(100000) == of(kind, warmup).factor(100));
  }
}

TEST_CASE("one cycle rises and falls along cosines") {
  const Schedule schedule{.kind = ScheduleKind::one_cycle, .total_steps = 101, .final_factor = 0.01};
  REQUIRE(schedule.factor(1) == Approx(0.04).epsilon(1e-15));
  REQUIRE(schedule.factor(31) == 1.0);
  REQUIRE(schedule.factor(16) == Approx(0.52).epsilon(1e-14));   // half-way up
  REQUIRE(schedule.factor(66) == Approx(0.505).epsilon(1e-14));  // half-way down
  for (std::uint64_t t = 2; t <= 31; ++t) REQUIRE(schedule.factor(t) > schedule.factor(t - 1));
  for (std::uint64_t t = 32; t <= 101; ++t) REQUIRE(schedule.factor(t) < schedule.factor(t - 1));
}

TEST_CASE("a schedule that cannot be is refused by name") {
  const auto refused = [](const Schedule& schedule, const std::string& part) {
    CAPTURE(part);
    REQUIRE_THROWS_WITH(schedule.check(),
                        Contains(part) && Contains("schedule " + std::string(name_of(schedule.kind))));
  };
  refused({.kind = ScheduleKind::cosine}, "total_steps is 0");
  refused({.kind = ScheduleKind::linear, .warmup_steps = 10, .total_steps = 10}, "above the 10 steps of the warm-up");
  refused({.kind = ScheduleKind::polynomial, .total_steps = 5, .power = 0.0}, "power must be above 0");
  refused({.kind = ScheduleKind::step, .interval = 0}, "interval");
  refused({.kind = ScheduleKind::one_cycle, .warmup_steps = 1, .total_steps = 5}, "rise of its own");
  refused({.kind = ScheduleKind::one_cycle, .total_steps = 5, .rise = 1.0}, "rise");
  refused({.final_factor = -0.1}, "final_factor");
  for (int k = 0; k < schedule_kind_count; ++k) REQUIRE_NOTHROW(of(kind_at(k), 5).check());
}

TEST_CASE("a learning rate is carried over to another batch by the rule asked for") {
  REQUIRE(scaled_learning_rate(0.1, BatchScaling::none, 1024, 256) == 0.1);
  REQUIRE(scaled_learning_rate(0.1, BatchScaling::linear, 1024, 256) == 0.4);
  REQUIRE(scaled_learning_rate(0.1, BatchScaling::square_root, 1024, 256) == 0.2);
  REQUIRE(scaled_learning_rate(0.1, BatchScaling::linear, 128, 256) == 0.05);
  REQUIRE_THROWS_WITH(scaled_learning_rate(0.1, BatchScaling::linear, 128, 0), Contains("above 0"));
}
