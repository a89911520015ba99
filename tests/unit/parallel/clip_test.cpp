// SPDX-License-Identifier: Apache-2.0
#include "field.hpp"
#include "parallel/gradient_norm.hpp"
#include "ranks.hpp"
#include "trireme/optim/sgd.hpp"
#include "trireme/parallel/data_parallel.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

using namespace trireme;
using namespace trireme::literals;
using namespace trireme::testing;

namespace {

const std::vector<std::size_t> clip_counts{9000, 3, 4096, 1};

/// Squares by the contract: blocks of 4096, eight lanes, balanced trees; written apart from the library.
double squares(std::span<const float> values) {
  const std::size_t blocks = (values.size() + 4095) / 4096;
  return tree_sum<double>(0, static_cast<int>(blocks), [&](int block) {
    const auto part = values.subspan(static_cast<std::size_t>(block) * 4096);
    double lanes[8] = {};
    for (std::size_t i = 0; i < std::min<std::size_t>(4096, part.size()); ++i) {
      lanes[i % 8] += static_cast<double>(part[i]) * static_cast<double>(part[i]);
    }
    return tree_sum<double>(0, 8, [&](int lane) { return lanes[lane]; });
  });
}

double norm_of(const std::vector<TensorView>& gradients) {
  return std::sqrt(tree_sum<double>(0, static_cast<int>(gradients.size()), [&](int p) {
    return squares(TensorView(gradients[static_cast<std::size_t>(p)]).as<float>());
  }));
}

struct Result {
  double norm = 0.0;
  std::string bytes;
};

/// One step of plain descent with rate 1 from rank 0's start, clipped.
Result clipped_step(int ranks, double clip_norm, Complaints& complaints) {
  Result result;
  run_ranks(ranks, [&](World& world) {
    Field<float> model(clip_counts);
    Sgd sgd({.learning_rate = 1.0});
    DataParallel data_parallel(world.communicator(), model.parameters(), {.bucket_bytes = 1_KiB, .logical_shards = 4});
    DistributedSampler sampler({.count = 6, .global_batch = 6});
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) model.backward(shard.samples(), [&](std::size_t p) { shard.ready(p); });
      step.reduce();
      const auto gradients = step.gradients();
      const double expected = norm_of(gradients);
      double plain = 0;
      std::vector<std::vector<float>> before;
      for (std::size_t p = 0; p < clip_counts.size(); ++p) {
        before.push_back(model.value(p));
        for (const float g : TensorView(gradients[p]).as<float>())
          plain += static_cast<double>(g) * static_cast<double>(g);
      }
      complaints.expect(world.rank(), std::fabs(expected - std::sqrt(plain)) <= 1e-12 * expected,
                        "the test's own norm");
      step.apply(sgd, {.clip_norm = clip_norm});
      complaints.expect(world.rank(), step.gradient_norm() == (clip_norm > 0 ? expected : 0.0), "norm");
      const float scale = clip_norm > 0 && expected > clip_norm ? static_cast<float>(clip_norm / expected) : 1.0f;
      for (std::size_t p = 0; p < clip_counts.size(); ++p) {
        const auto gradient = TensorView(gradients[p]).as<float>();
        for (std::size_t e = 0; e < clip_counts[p]; ++e) {
          const float change = gradient[e] * scale;
          if (model.value(p)[e] == before[p][e] - change) continue;
          complaints.expect(world.rank(), false, "scaled update");
          break;
        }
      }
      if (world.rank() == 0) result = {step.gradient_norm(), model.bytes()};
    }
  });
  return result;
}

}  // namespace

TEST_CASE("clipping scales by clip_norm over the norm when that is above, with the same bits on any number of ranks") {
  Complaints complaints(4);
  const double norm = clipped_step(1, 1e9, complaints).norm;
  REQUIRE(norm > 10.0);
  for (const double clip_norm : {0.0, 1.0, norm / 3, std::nextafter(norm, 0.0), norm, norm + 1}) {
    const Result expected = clipped_step(1, clip_norm, complaints);
    REQUIRE(expected.norm == (clip_norm > 0 ? norm : 0.0));
    for (const int ranks : {2, 3, 4}) {
      const Result result = clipped_step(ranks, clip_norm, complaints);
      REQUIRE(result.norm == expected.norm);
      REQUIRE((result.bytes == expected.bytes));
    }
  }
  REQUIRE(complaints.all() == "");
}

TEST_CASE("a norm at or below the limit, or not finite, scales nothing") {
  const double infinity = std::numeric_limits<double>::infinity();
  REQUIRE(parallel::clip_scale(4.0, 1.0) == 0.25);
  REQUIRE(parallel::clip_scale(1.0, 1.0) == 1.0);
  REQUIRE(parallel::clip_scale(0.0, 1.0) == 1.0);
  REQUIRE(parallel::clip_scale(infinity, 1.0) == 1.0);
  REQUIRE(parallel::clip_scale(std::nan(""), 1.0) == 1.0);
}

TEST_CASE("unused parameters do not enter the norm") {
  Complaints complaints(2);
  run_ranks(2, [&](World& world) {
    Field<float> model({2, 3});
    Sgd sgd({.learning_rate = 1.0});
    DataParallel data_parallel(world.communicator(), model.parameters());
    DistributedSampler sampler({.count = 2, .global_batch = 2});
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) {
        model.gradient(0)[0] = 3.0f;
        model.gradient(0)[1] = 4.0f;
        std::fill(model.gradient(1).begin(), model.gradient(1).end(), 100.0f);
        shard.ready(0);
      }
      step.reduce();
      step.apply(sgd, {.clip_norm = 1.0});
      complaints.expect(world.rank(), step.gradient_norm() == 5.0, "norm");
    }
  });
  REQUIRE(complaints.all() == "");
}
