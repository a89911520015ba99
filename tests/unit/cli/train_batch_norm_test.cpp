// SPDX-License-Identifier: Apache-2.0
// `--sync-batch-norm`: ranks with a leaf each train as one leaf with all samples does.
#include "cli/train/batch_norm_exchange.hpp"
#include "cli/train/buffer_settling.hpp"
#include "support/failures.hpp"
#include "trireme/data/aligned_buffer.hpp"
#include "trireme/data/random.hpp"
#include "trireme/models/mlp.hpp"
#include "trireme/models/resnet.hpp"
#include "trireme/optim/sgd.hpp"
#include "trireme/parallel/data_parallel.hpp"
#include "trireme/world/run_ranks.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <cmath>
#include <memory>

using namespace trireme;
using namespace trireme::cli;

namespace {

constexpr models::ImageExtent synchronised_image{6, 5, 1};
constexpr std::size_t synchronised_classes = 3;

struct SynchronisedBatch {
  explicit SynchronisedBatch(std::span<const std::uint32_t> samples)
      : features(samples.size() * synchronised_image.elements()) {
    for (std::size_t i = 0; i < features.size(); ++i) {
      const std::uint64_t bits =
          data::splitmix64_at(samples[i / synchronised_image.elements()], i % synchronised_image.elements());
      features.data()[i] = 2.0 * data::unit_interval(bits) - 1.0;
    }
    for (const std::uint32_t sample : samples) {
      labels.push_back(static_cast<std::uint8_t>(sample % synchronised_classes));
    }
  }
  data::AlignedBuffer<double> features;
  std::vector<std::uint8_t> labels;
};

void append(std::vector<double>& to, std::span<const double> values) {
  to.insert(to.end(), values.begin(), values.end());
}

/// Every step's mean loss and reduced gradients, then weights and buffers at the end of an epoch: of every rank.
std::vector<std::vector<double>> courses(int ranks, std::size_t batch, bool overlap, bool synchronised) {
  std::vector<std::vector<double>> all(static_cast<std::size_t>(ranks));
  testing::run_ranks(ranks, [&](World& world) {
    auto& course = all[static_cast<std::size_t>(world.rank())];
    auto communicator = world.communicator();
    models::ResNet<double> model(
        {.input = synchronised_image, .stages = {3, 4}, .classes = synchronised_classes, .seed = 3});
    DataParallel data_parallel(communicator, model.parameters(),
                               {.bucket_bytes = Bytes{512}, .overlap = overlap, .gradients_as_bucket_views = true});
    model.use_gradients(data_parallel.parameters());
    std::unique_ptr<BatchNormExchange> exchange;
    if (synchronised) exchange = std::make_unique<BatchNormExchange>(communicator, model);
    BufferSettling buffers(model, 1);
    Sgd sgd({.learning_rate = 0.05, .momentum = 0.9});
    DistributedSampler sampler({.count = 20, .global_batch = batch, .seed = 11});
    for (auto& step : data_parallel.steps(sampler)) {
      buffers.begin_step();
      if (exchange != nullptr) exchange->begin_step(sampler.batch());
      double loss = 0.0;
      for (auto& shard : step.shards()) {
        const SynchronisedBatch samples(shard.samples());
        const auto count = samples.labels.size();
        loss = model.forward_backward(samples.features.span(), samples.labels, [&](std::size_t p) { shard.ready(p); }) *
               static_cast<double>(count) / static_cast<double>(step.batch_size());
        buffers.add(0, count);
      }
      if (step.reduce() != StepOutcome::ready) continue;
      communicator.all_reduce(std::span<double>(&loss, 1));
      course.push_back(loss);
      for (const TensorView gradient : step.gradients()) append(course, gradient.as<double>());
      if (step.apply(sgd) == ApplyOutcome::applied) buffers.settle(communicator, {});
    }
    for (const Parameter& parameter : model.parameters()) append(course, parameter.value.as<double>());
    for (const Parameter& buffer : model.buffers()) append(course, buffer.value.as<double>());
  });
  return all;
}

}  // namespace

TEST_CASE("Training with synchronised batch normalisation takes the course of one leaf, on any number of ranks") {
  // Leaves of unequal sizes; the last batch of 20 samples has 2 or 4: on more ranks than that some have none.
  const std::size_t batch = GENERATE(9u, 16u);
  const bool overlap = GENERATE(true, false);
  const auto alone = courses(1, batch, true, false).front();
  CHECK(courses(1, batch, overlap, true).front() == alone);
  for (const int ranks : {2, 3, 4, 5}) {
    CAPTURE(batch, overlap, ranks);
    const auto all = courses(ranks, batch, overlap, true);
    for (const auto& course : all) CHECK(course == all.front());
    REQUIRE(all.front().size() == alone.size());
    std::size_t far = 0;  // a NaN is
    for (std::size_t i = 0; i < alone.size(); ++i) far += std::abs(all.front()[i] - alone[i]) < 1e-10 ? 0 : 1;
    CHECK(far == 0);
  }
  // Leaves that are normalised by themselves take another.
  CHECK(courses(2, batch, overlap, false).front() != alone);
}

TEST_CASE("Synchronised batch normalisation is refused with other than one leaf per rank, naming the flags") {
  const auto error = [](const TrainOptions& options, int leaves, int ranks) {
    return testing::error_of([&] { check_sync_batch_norm(options, leaves, ranks); });
  };
  TrainOptions options;
  options.model = "resnet";
  options.logical_shards = 8;
  check_sync_batch_norm(options, 8, 2);
  options.sync_batch_norm = true;
  check_sync_batch_norm(options, 8, 8);
  const Error shards = error(options, 8, 2);
  CHECK(shards.code == ErrorCode::unsupported);
  CHECK_THAT(shards.message,
             Catch::Contains("--sync-batch-norm") && Catch::Contains("--logical-shards 8 makes 8 leaves on 2 ranks"));
  options.logical_shards = 0;
  check_sync_batch_norm(options, 3, 3);
  options.accumulate = 2;
  const Error passes = error(options, 2, 1);
  CHECK(passes.code == ErrorCode::unsupported);
  CHECK_THAT(passes.message,
             Catch::Contains("--sync-batch-norm") && Catch::Contains("--accumulate 2 makes 2 leaves on 1 rank:"));
}

TEST_CASE("An exchange of statistics is refused by a model that has none") {
  std::atomic<int> refused = 0;
  testing::run_ranks(2, [&](World& world) {
    auto communicator = world.communicator();
    models::Mlp<float> model({.sizes = {4, 3}});
    refused += testing::code_of([&] { BatchNormExchange(communicator, model); }) == ErrorCode::unsupported ? 1 : 0;
  });
  CHECK(refused == 2);
}
