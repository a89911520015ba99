// SPDX-License-Identifier: Apache-2.0
#include "trireme/ps/split.hpp"

#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <numeric>

using namespace trireme;
using namespace trireme::ps;

namespace {

constexpr double speed = 25e6;
constexpr Bytes model{32'000'000};

/// Seconds of the busiest link, as the model counts bytes.
double busiest(const std::vector<double>& shares, const std::vector<double>& workers,
               const std::vector<double>& spare) {
  const double n = static_cast<double>(workers.size()), bytes = static_cast<double>(model.value);
  double most = 0;
  for (std::size_t i = 0; i < workers.size(); ++i)
    most = std::max(most, (1 + (n - 2) * shares[i]) * bytes / workers[i]);
  for (std::size_t j = 0; j < spare.size(); ++j)
    most = std::max(most, n * shares[workers.size() + j] * bytes / spare[j]);
  return most;
}

}  // namespace

TEST_CASE("Without spare servers the optimal split is direct all-reduce") {
  for (const std::uint32_t n : {1u, 2u, 3u, 4u, 16u}) {
    const OptimalSplit split = OptimalSplit::of(n, 0);
    CHECK(split.share_of_worker == Approx(1.0 / n));
    CHECK(split.share_of_spare == 0.0);
    CHECK(seconds_optimal(n, 0, model, speed) == Approx(seconds_all_reduce(n, model, speed)).margin(1e-12));
  }
}

TEST_CASE("With as many spare servers as workers these hold nothing, and a step takes M / B") {
  for (const std::uint32_t n : {2u, 3u, 4u, 16u}) {
    for (const std::uint32_t k : {n, n + 1, 3 * n}) {
      const OptimalSplit split = OptimalSplit::of(n, k);
      CHECK(split.share_of_worker == 0.0);
      CHECK(split.share_of_spare == Approx(1.0 / k));
      CHECK(seconds_optimal(n, k, model, speed) == Approx(1.28));
    }
  }
}

TEST_CASE("The optimal split is what the paper says, and never slower than all-reduce or spare servers alone") {
  CHECK(OptimalSplit::of(4, 2).share_of_spare == Approx(6.0 / 20.0));
  CHECK(OptimalSplit::of(4, 2).share_of_worker == Approx(2.0 / 20.0));
  CHECK(seconds_optimal(4, 2, model, speed) == Approx(24.0 * 1.28 / 20.0));
  for (std::uint32_t n = 1; n <= 12; ++n) {
    for (std::uint32_t k = 0; k <= 14; ++k) {
      const auto shares = OptimalSplit::of(n, k).shares();
      CAPTURE(n, k);
      REQUIRE(shares.size() == n + k);
      CHECK(std::accumulate(shares.begin(), shares.end(), 0.0) == Approx(1.0));
      const double seconds = seconds_optimal(n, k, model, speed);
      CHECK(seconds <= seconds_all_reduce(n, model, speed) * (1 + 1e-12));
      CHECK(seconds <= seconds_spare_only(n, k, model, speed) * (1 + 1e-12));
      if (n > 1)
        CHECK(busiest(shares, std::vector<double>(n, speed), std::vector<double>(k, speed)) == Approx(seconds));
    }
  }
}

TEST_CASE("Links that measure equal are split by the formula") {
  for (std::uint32_t n = 1; n <= 9; ++n) {
    for (std::uint32_t k = 0; k <= 10; ++k) {
      const MeasuredSplit split = split_for(std::vector<double>(n, speed), std::vector<double>(k, speed), model);
      const auto formula = OptimalSplit::of(n, k).shares();
      CAPTURE(n, k);
      CHECK(split.seconds == Approx(seconds_optimal(n, k, model, speed)).margin(1e-12));
      for (std::size_t s = 0; s < formula.size(); ++s) CHECK(split.shares[s] == Approx(formula[s]).margin(1e-9));
    }
  }
}

TEST_CASE("A slow link is given less, and no link is busier than the time predicted") {
  const std::vector<double> workers{25e6, 25e6, 20e6, 25e6}, spare{25e6, 10e6};
  const MeasuredSplit split = split_for(workers, spare, model);
  CHECK(split.shares[2] < split.shares[0]);
  CHECK(split.shares[5] < split.shares[4]);
  CHECK(std::accumulate(split.shares.begin(), split.shares.end(), 0.0) == Approx(1.0));
  CHECK(busiest(split.shares, workers, spare) == Approx(split.seconds));
  // Equal shares of the formula would keep the slow ones busier.
  CHECK(split.seconds < busiest(OptimalSplit::of(4, 2).shares(), workers, spare));
}

TEST_CASE("A worker whose own gradients take longest holds no keys, and the explanation names it") {
  const std::vector<double> workers{25e6, 1e6, 25e6};
  const MeasuredSplit split = split_for(workers, {}, model);
  CHECK(split.shares[1] == 0.0);
  CHECK(split.seconds == Approx(32.0));
  CHECK(busiest(split.shares, workers, {}) == Approx(32.0));
  CHECK_THAT(split.explanation, Catch::Matchers::Contains("worker 1's own gradients take at 1 MB/s"));
}

TEST_CASE("A split without workers or with a link that carries nothing is refused") {
  CHECK_THROWS_WITH(OptimalSplit::of(0, 3), Catch::Matchers::Contains("no workers"));
  CHECK_THROWS_WITH(split_for(std::vector<double>{1.0, 0.0}, {}, model), Catch::Matchers::Contains("worker 1 carries"));
}
