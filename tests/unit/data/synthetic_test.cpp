// SPDX-License-Identifier: Apache-2.0
#include "trireme/data/synthetic.hpp"

#include "support/failures.hpp"
#include "trireme/data/standardisation.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

using namespace trireme;
using data::DenseTable;
using data::Synthetic;
using data::SyntheticKind;

namespace {

DenseTable synthetic_rows(const Synthetic& synthetic, std::size_t count) {
  DenseTable table;
  synthetic.read(0, count, table);
  return table;
}

double inner_product(const Synthetic& synthetic, std::span<const float> x) {
  double z = synthetic.bias();
  for (std::size_t j = 0; j < x.size(); ++j) z += synthetic.weights()[j] * static_cast<double>(x[j]);
  return z;
}

}  // namespace

TEST_CASE("a synthetic sample depends on seed and number alone") {
  for (SyntheticKind kind : {SyntheticKind::linear, SyntheticKind::logistic, SyntheticKind::blobs}) {
    const Synthetic synthetic({.kind = kind, .features = 5, .classes = 3, .seed = 9});
    const DenseTable all = synthetic_rows(synthetic, 100);
    DenseTable some;
    const std::vector<std::uint32_t> numbers = {99, 3, 3, 0, 42};
    Synthetic({.kind = kind, .features = 5, .classes = 3, .seed = 9}).read(numbers, some);
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      const auto row = some.view().row(i);
      const auto same = all.view().row(numbers[i]);
      CHECK(std::equal(row.begin(), row.end(), same.begin(), same.end()));
      CHECK(some.labels[i] == all.labels[numbers[i]]);
    }
    const DenseTable other = synthetic_rows(Synthetic({.kind = kind, .features = 5, .classes = 3, .seed = 10}), 100);
    CHECK(other.values != all.values);
    CHECK_FALSE(std::equal(all.values.begin(), all.values.begin() + 5, all.values.begin() + 5));
  }
}

TEST_CASE("the values of synthetic samples are pinned") {
  // Computed a second time by an independent program; changing them changes every result that was made with them.
  std::vector<float> x(2);
  const Synthetic linear({.kind = SyntheticKind::linear, .features = 2, .noise = 0.5, .seed = 7});
  const float label = linear.sample(3, x);
  CHECK(std::vector<double>(linear.weights().begin(), linear.weights().end()) ==
        std::vector<double>{-0x1.a960000000000p-4, 0x1.1afa000000000p-1});
  CHECK(linear.bias() == 0x1.e034000000000p-2);
  CHECK(x == std::vector<float>{0x1.78ec000000000p-1f, -0x1.c4ba000000000p-1f});
  CHECK(label == 0x1.1d3ab40000000p-3f);
}

TEST_CASE("synthetic features are normal: mean 0, deviation 1") {
  const DenseTable table = synthetic_rows(Synthetic({.features = 4, .seed = 1}), 20000);
  data::FeatureMoments moments(4);
  moments.add(table.view());
  const auto summary = moments.summary();
  for (std::size_t j = 0; j < 4; ++j) {
    CHECK(std::fabs(summary.mean[j]) < 0.03);
    CHECK(summary.variance[j] == Approx(1.0).epsilon(0.05));
    CHECK(summary.largest[j] <= 6.0);
  }
}

TEST_CASE("synthetic linear samples follow the known weights up to the noise") {
  const Synthetic exact({.kind = SyntheticKind::linear, .features = 6, .noise = 0.0, .seed = 3});
  const DenseTable table = synthetic_rows(exact, 200);
  for (std::size_t i = 0; i < table.size(); ++i) {
    REQUIRE(table.labels[i] == static_cast<float>(inner_product(exact, table.view().row(i))));
  }
  const Synthetic noisy({.kind = SyntheticKind::linear, .features = 6, .noise = 0.5, .seed = 3});
  const DenseTable with_noise = synthetic_rows(noisy, 20000);
  double squares = 0;
  for (std::size_t i = 0; i < with_noise.size(); ++i) {
    const double rest = static_cast<double>(with_noise.labels[i]) - inner_product(noisy, with_noise.view().row(i));
    squares += rest * rest;
  }
  CHECK(std::sqrt(squares / 20000) == Approx(0.5).epsilon(0.03));
}

TEST_CASE("synthetic logistic labels are 1 as often as the known weights say") {
  const Synthetic synthetic({.kind = SyntheticKind::logistic, .features = 3, .seed = 5});
  const DenseTable table = synthetic_rows(synthetic, 40000);
  double expected[10] = {}, found[10] = {}, count[10] = {};
  for (std::size_t i = 0; i < table.size(); ++i) {
    REQUIRE((table.labels[i] == 0.0f || table.labels[i] == 1.0f));
    const double probability = 1.0 / (1.0 + std::exp(-inner_product(synthetic, table.view().row(i))));
    const auto bin = static_cast<std::size_t>(probability * 9.999);
    expected[bin] += probability;
    found[bin] += static_cast<double>(table.labels[i]);
    count[bin] += 1;
  }
  for (std::size_t bin = 0; bin < 10; ++bin) {
    CAPTURE(bin, count[bin]);
    REQUIRE(count[bin] > 100);
    CHECK(std::fabs(expected[bin] - found[bin]) < 2.5 * std::sqrt(count[bin]));
  }
}

TEST_CASE("synthetic blobs lie around the centre of their class, classes in turn") {
  const Synthetic synthetic(
      {.kind = SyntheticKind::blobs, .features = 2, .classes = 5, .noise = 0.5, .separation = 3.0, .seed = 2});
  CHECK(synthetic.centres().size() == 10);
  const DenseTable table = synthetic_rows(synthetic, 5000);
  double squares = 0;
  for (std::size_t i = 0; i < table.size(); ++i) {
    REQUIRE(table.labels[i] == static_cast<float>(i % 5));
    for (std::size_t j = 0; j < 2; ++j) {
      const double rest = static_cast<double>(table.view().row(i)[j]) - synthetic.centres()[2 * (i % 5) + j];
      squares += rest * rest;
    }
  }
  CHECK(std::sqrt(squares / 10000) == Approx(0.5).epsilon(0.04));
}

TEST_CASE("synthetic data refuses what it cannot make") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const data::SyntheticOptions& options :
       {data::SyntheticOptions{.features = 0}, data::SyntheticOptions{.kind = SyntheticKind::blobs, .classes = 0},
        data::SyntheticOptions{.kind = SyntheticKind::blobs, .classes = (1u << 24) + 1},
        data::SyntheticOptions{.noise = -1.0}, data::SyntheticOptions{.noise = nan},
        data::SyntheticOptions{.separation = std::numeric_limits<double>::infinity()}}) {
    CHECK(testing::code_of([&] { Synthetic{options}; }) == ErrorCode::invalid_argument);
  }
  std::vector<float> out(3);
  CHECK(testing::code_of([&] { Synthetic({.features = 4}).sample(0, out); }) == ErrorCode::invalid_argument);
}
