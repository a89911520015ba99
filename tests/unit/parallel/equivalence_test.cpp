// SPDX-License-Identifier: Apache-2.0
// n ranks do what one process does on the concatenated batch, which is computed here without the library.
#include "ranks.hpp"
#include "support/exact_inputs.hpp"
#include "trireme/models/mlp.hpp"
#include "trireme/optim/adamw.hpp"
#include "trireme/optim/sgd.hpp"
#include "trireme/parallel/data_parallel.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <memory>

using namespace trireme;
using namespace trireme::testing;

namespace {

constexpr std::size_t inputs = 6;
const std::vector<std::size_t> sizes{inputs, 8, 5, 3};
constexpr double rate = 0.02, momentum = 0.9, decay = 0.01;

/// The features of samples, one row after the other, and their labels.
struct Batch {
  explicit Batch(std::span<const std::uint32_t> samples) {
    for (const std::uint32_t s : samples) {
      for (std::size_t i = 0; i < inputs; ++i) features.push_back(rough_value<double>(static_cast<int>(s), i) / 64.0);
      labels.push_back(static_cast<std::uint8_t>(mix(s) % 3));
    }
  }
  std::vector<double> features;
  std::vector<std::uint8_t> labels;
};

using Values = std::vector<std::vector<double>>;

Values values_of(const models::Mlp<double>& model) {
  Values all;
  for (const auto& each : model.parameters()) {
    const auto values = TensorView(each.value).as<double>();
    all.emplace_back(values.begin(), values.end());
  }
  return all;
}

struct Case {
  std::size_t count = 0;
  std::size_t batch = 0;
  int epochs = 3;
  bool adamw = false;
};

/// One process, whole batches, and the update rules as the textbook has them.
Values alone(const Case& which) {
  models::Mlp<double> model({.sizes = sizes, .seed = 3});
  DistributedSampler sampler({.count = which.count, .global_batch = which.batch, .seed = 11});
  Values first(model.parameters().size()), second(model.parameters().size());
  int t = 0;
  for (std::uint64_t epoch = 0; epoch < static_cast<std::uint64_t>(which.epochs); ++epoch) {
    for (std::uint64_t step = 0; step < sampler.steps_per_epoch(); ++step) {
      const Batch batch(sampler.batch(epoch, step));
      model.forward_backward(std::span<const double>(batch.features), batch.labels);
      ++t;
      for (std::size_t p = 0; p < model.parameters().size(); ++p) {
        const auto x = TensorView(model.parameters()[p].value).as<double>();
        const auto g = TensorView(model.parameters()[p].gradient).as<double>();
        first[p].resize(x.size());
        second[p].resize(x.size());
        for (std::size_t e = 0; e < x.size(); ++e) {
          if (which.adamw) {
            first[p][e] = 0.9 * first[p][e] + 0.1 * g[e];
            second[p][e] = 0.999 * second[p][e] + 0.001 * g[e] * g[e];
            const double direction =
                first[p][e] / (1 - std::pow(0.9, t)) / (std::sqrt(second[p][e] / (1 - std::pow(0.999, t))) + 1e-8);
            x[e] -= rate * (direction + decay * x[e]);
          } else {
            first[p][e] = momentum * first[p][e] + g[e] + decay * x[e];
            x[e] -= rate * first[p][e];
          }
        }
      }
    }
  }
  return values_of(model);
}

std::vector<Values> together(const Case& which, int ranks) {
  std::vector<Values> results(static_cast<std::size_t>(ranks));
  run_ranks(ranks, [&](World& world) {
    models::Mlp<double> model({.sizes = sizes, .seed = 3});
    DataParallel data_parallel(world.communicator(), model.parameters(), {.bucket_bytes = Bytes{512}});
    Sgd sgd({.learning_rate = rate, .momentum = momentum, .l2_penalty = decay});
    AdamW adamw({.learning_rate = rate, .weight_decay = decay});
    Optimizer& optimizer = which.adamw ? static_cast<Optimizer&>(adamw) : sgd;
    DistributedSampler sampler({.count = which.count, .global_batch = which.batch, .seed = 11});
    while (sampler.cursor().epoch < static_cast<std::uint64_t>(which.epochs)) {
      for (auto& step : data_parallel.steps(sampler)) {
        for (auto& shard : step.shards()) {
          const Batch batch(shard.samples());
          model.forward_backward(std::span<const double>(batch.features), batch.labels,
                                 [&](std::size_t p) { shard.ready(p); });
        }
        if (step.reduce() == StepOutcome::ready) step.apply(optimizer);
      }
    }
    results[static_cast<std::size_t>(world.rank())] = values_of(model);
  });
  return results;
}

}  // namespace

TEST_CASE("n ranks equal one process on the concatenated batch") {
  const bool adamw = GENERATE(false, true);
  // Batches that divide by n and that do not, last batches smaller than n, a data set smaller than a batch.
  const auto which =
      GENERATE_COPY(Case{48, 12, 3, adamw}, Case{40, 7, 2, adamw}, Case{13, 6, 4, adamw}, Case{21, 5, 3, adamw},
                    Case{7, 3, 4, adamw}, Case{5, 16, 10, adamw}, Case{3, 2, 6, adamw});
  const Values expected = alone(which);
  for (int ranks = 1; ranks <= 4; ++ranks) {
    CAPTURE(ranks, which.count, which.batch, adamw);
    for (const Values& result : together(which, ranks)) {
      for (std::size_t p = 0; p < expected.size(); ++p) {
        for (std::size_t e = 0; e < expected[p].size(); ++e) {
          if (!(std::fabs(result[p][e] - expected[p][e]) <= 1e-12 * std::fabs(expected[p][e]) + 1e-15)) {
            FAIL("parameter " << p << " element " << e << ": " << result[p][e] << " is not " << expected[p][e]);
          }
        }
      }
    }
  }
  SUCCEED();
}

TEST_CASE("training changes the parameters at all") {
  REQUIRE(alone({12, 4, 1, false}) != values_of(models::Mlp<double>({.sizes = sizes, .seed = 3})));
}
