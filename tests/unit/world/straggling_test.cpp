// SPDX-License-Identifier: Apache-2.0
#include "trireme/world/straggling.hpp"

#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <set>
#include <string>

using namespace trireme;
using namespace trireme::testing;

namespace {

constexpr std::uint32_t workers = 8;
constexpr std::uint64_t steps = 20'000;

std::uint64_t slow_steps(const Straggling& straggling, std::uint32_t worker) {
  std::uint64_t count = 0;
  for (std::uint64_t step = 1; step <= steps; ++step) count += straggling.is_slow(worker, step) ? 1 : 0;
  return count;
}

}  // namespace

TEST_CASE("each: every worker is slow in its share of the steps, and not in those of another") {
  const Straggling straggling(parse_stragglers("each:0.1"), workers);
  std::uint64_t together = 0;
  for (std::uint32_t worker = 0; worker < workers; ++worker)
    CHECK(std::abs(static_cast<double>(slow_steps(straggling, worker)) / steps - 0.1) < 0.01);
  for (std::uint64_t step = 1; step <= steps; ++step)
    together += straggling.is_slow(0, step) && straggling.is_slow(1, step) ? 1 : 0;
  CHECK(together < steps / 50);  // a hundredth, if they have nothing to do with each other
  CHECK(together > steps / 200);
}

TEST_CASE("one: in a share of the steps exactly one worker is slow, each as often as another") {
  const Straggling straggling(parse_stragglers("one:0.25:3"), workers);
  std::uint64_t slow = 0;
  for (std::uint64_t step = 1; step <= steps; ++step) {
    int at_once = 0;
    for (std::uint32_t worker = 0; worker < workers; ++worker) at_once += straggling.is_slow(worker, step) ? 1 : 0;
    REQUIRE(at_once <= 1);
    slow += static_cast<std::uint64_t>(at_once);
  }
  CHECK(std::abs(static_cast<double>(slow) / steps - 0.25) < 0.01);
  for (std::uint32_t worker = 0; worker < workers; ++worker)
    CHECK(std::abs(static_cast<double>(slow_steps(straggling, worker)) / steps - 0.25 / workers) < 0.01);
}

TEST_CASE("A slow step takes a factor of the others' time, the same whenever it is asked; another seed draws others") {
  StragglingOptions options = parse_stragglers("worker:2:5");
  options.computation = std::chrono::milliseconds(20);
  const Straggling always(options, workers);
  CHECK(always.computation(2, 7) == std::chrono::milliseconds(100));
  CHECK(always.computation(3, 7) == std::chrono::milliseconds(20));
  CHECK(slow_steps(always, 2) == steps);
  CHECK(slow_steps(Straggling({}, workers), 2) == 0);

  options = parse_stragglers("each:0.1");
  const Straggling first(options, workers), again(options, workers);
  options.seed = 2;
  const Straggling other(options, workers);
  std::uint64_t differ = 0;
  for (std::uint64_t step = 1; step <= steps; ++step) {
    REQUIRE(first.is_slow(5, step) == again.is_slow(5, step));
    differ += first.is_slow(5, step) != other.is_slow(5, step) ? 1 : 0;
  }
  CHECK(differ > steps / 10);
}

TEST_CASE("Stragglers as text come back as they were, and what is none is refused by name") {
  for (const char* text : {"none", "one:0.1:5", "each:0.05:2.5", "worker:3:5"})
    CHECK(to_string(parse_stragglers(text)) == text);
  CHECK(to_string(parse_stragglers("worker:3")) == "worker:3:5");
  for (const char* text : {"", "some:0.1", "one", "one:", "one:1.5", "each:-0.1", "each:0.1:0.5", "each:0.1:5:5",
                           "worker:x", "worker:-1", "none:0.1", "one:0.1:", "one:nan"}) {
    CAPTURE(text);
    CHECK_THROWS_WITH(parse_stragglers(text), Catch::Contains("not '" + std::string(text) + "'"));
  }
  CHECK_THROWS_WITH(Straggling(parse_stragglers("worker:8"), workers), Catch::Contains("no worker 8 among 8"));
}
