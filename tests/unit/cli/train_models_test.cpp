// SPDX-License-Identifier: Apache-2.0
// The models that `trireme train` offers, and the course of their buffers over ranks.
#include "cli/train/buffer_settling.hpp"
#include "cli/train/model.hpp"
#include "trireme/data/aligned_buffer.hpp"
#include "trireme/data/random.hpp"
#include "trireme/layout/reduction_tree.hpp"
#include "trireme/models/cnn.hpp"
#include "trireme/models/resnet.hpp"
#include "trireme/models/weights_hash.hpp"
#include "trireme/optim/sgd.hpp"
#include "trireme/parallel/data_parallel.hpp"
#include "trireme/world/run_ranks.hpp"

#include <catch2/catch.hpp>

#include <mutex>
#include <set>

using namespace trireme;
using namespace trireme::cli;

namespace {

constexpr models::ImageExtent tiny{6, 5, 1};
constexpr std::size_t tiny_classes = 3;
constexpr int tiny_leaves = 8;

std::unique_ptr<models::Classifier> tiny_model(const std::string& kind) {
  if (kind == "cnn") {
    return std::make_unique<models::Cnn<float>>(
        models::CnnOptions{.input = tiny, .convolutions = {3, 4}, .hidden = {5}, .classes = tiny_classes, .seed = 3});
  }
  return std::make_unique<models::ResNet<float>>(
      models::ResNetOptions{.input = tiny, .stages = {3, 4}, .classes = tiny_classes, .seed = 3});
}

struct TinyBatch {
  explicit TinyBatch(std::span<const std::uint32_t> samples) : features(samples.size() * tiny.elements()) {
    for (std::size_t i = 0; i < features.size(); ++i) {
      const std::uint64_t bits = data::splitmix64_at(samples[i / tiny.elements()], i % tiny.elements());
      features.data()[i] = static_cast<float>(2.0 * data::unit_interval(bits) - 1.0);
    }
    for (const std::uint32_t sample : samples) labels.push_back(static_cast<std::uint8_t>(sample % tiny_classes));
  }
  data::AlignedBuffer<float> features;
  std::vector<std::uint8_t> labels;
};

/// Weights and buffers after an epoch of whole and short batches, as hashes; each rank's must be the same.
std::set<std::string> trained(const std::string& kind, std::size_t batch, int ranks) {
  std::set<std::string> seen;
  std::mutex mutex;
  testing::run_ranks(ranks, [&](World& world) {
    const auto model = tiny_model(kind);
    auto communicator = world.communicator();
    DataParallel data_parallel(
        communicator, model->parameters(),
        {.bucket_bytes = Bytes{256}, .logical_shards = tiny_leaves, .gradients_as_bucket_views = true});
    model->use_gradients(data_parallel.parameters());
    const auto own = layout::leaf_blocks(tiny_leaves, world.size())[static_cast<std::size_t>(world.rank())];
    BufferSettling buffers(*model, own.count);
    Sgd sgd({.learning_rate = 0.05, .momentum = 0.9});
    DistributedSampler sampler({.count = 20, .global_batch = batch, .seed = 11});
    while (sampler.cursor().epoch < 1) {
      for (auto& step : data_parallel.steps(sampler)) {
        buffers.begin_step();
        const auto all = sampler.batch();
        for (auto& shard : step.shards()) {
          const TinyBatch samples(shard.samples());
          model->forward_backward(samples.features.span(), samples.labels, [&](std::size_t p) { shard.ready(p); });
          int leaf = 0;
          while (DistributedSampler::leaf(all, tiny_leaves, own.first + leaf).data() != shard.samples().data()) ++leaf;
          buffers.add(static_cast<std::size_t>(leaf), samples.labels.size());
        }
        if (step.reduce() != StepOutcome::ready) continue;
        if (step.apply(sgd) == ApplyOutcome::applied) buffers.settle(communicator, {.leaves = tiny_leaves});
      }
    }
    const std::string hash = models::weights_hash(model->parameters()) + " " + models::weights_hash(model->buffers());
    const std::lock_guard lock(mutex);
    seen.insert(hash);
  });
  return seen;
}

data::LabelledImages blank_images() {
  return {.name = "blank", .rows = 12, .columns = 8, .classes = 5, .images = {}, .labels = {}};
}

}  // namespace

TEST_CASE("Image models end with the same weights and buffers on any number of ranks up to the number of leaves") {
  const std::string kind = GENERATE("cnn", "resnet");
  // Leaves of 2 and of 1 or 2 samples, and leaves without any; 20 samples make the last batch short.
  const std::size_t batch = GENERATE(16u, 13u, 3u);
  CAPTURE(kind, batch);
  const auto alone = trained(kind, batch, 1);
  REQUIRE(alone.size() == 1);
  for (const int ranks : {2, 3, 4, 8}) {
    CAPTURE(ranks);
    CHECK(trained(kind, batch, ranks) == alone);
  }
}

TEST_CASE("Buffers move once per step towards the mean over all ranks' leaves, weighted by their samples") {
  std::mutex mutex;
  testing::run_ranks(2, [&](World& world) {
    const auto model = tiny_model("resnet");
    BufferSettling buffers(*model, 1);
    auto communicator = world.communicator();
    std::vector<std::uint32_t> own(world.rank() == 0 ? 4 : 2);
    for (std::size_t i = 0; i < own.size(); ++i)
      own[i] = static_cast<std::uint32_t>(10 * static_cast<std::size_t>(world.rank()) + 1 + i);
    const TinyBatch samples(own);
    model->forward_backward(samples.features.span(), samples.labels);
    std::vector<double> both(2 * model->statistics().size());
    communicator.all_gather(model->statistics(), std::span<double>(both));
    std::vector<float> before;
    for (const Parameter& buffer : model->buffers()) {
      for (const float value : buffer.value.as<float>()) before.push_back(value);
    }
    buffers.begin_step();
    buffers.add(0, own.size());
    buffers.settle(communicator, {.leaves = 2});
    std::size_t i = 0;
    const std::lock_guard lock(mutex);
    for (const Parameter& buffer : model->buffers()) {
      for (const float value : buffer.value.as<float>()) {
        const double mean = (4.0 * both[i] + 2.0 * both[i + before.size()]) / 6.0;
        REQUIRE(value == static_cast<float>(before[i] + 0.1 * (mean - static_cast<double>(before[i]))));
        ++i;
      }
    }
    REQUIRE(i == before.size());
  });
}

TEST_CASE("train makes the model that was asked for, for images of the data set") {
  TrainOptions options;
  options.hidden = {7};
  CHECK(make_model(options, blank_images(), 4)->description() == "mlp 96-7-5");
  options.model = "cnn";
  CHECK(make_model(options, blank_images(), 4)->description() == "cnn 12x8x1 conv 16-32 dense 128-5");
  options.model = "resnet";
  CHECK(make_model(options, blank_images(), 4)->description() == "resnet 12x8x1 stages 16-32-64 of 1 block");
}

TEST_CASE("The shapes of an mlp are told, before it is made, as it then has them") {
  TrainOptions options;
  options.hidden = {5, 4};
  data::LabelledImages images;
  images.rows = 3;
  images.columns = 2;
  images.classes = 3;
  const auto told = mlp_shapes(options, images);
  const models::Mlp<float> made(mlp_options(options, images, 1));
  REQUIRE(told.size() == made.parameters().size());
  for (std::size_t p = 0; p < told.size(); ++p) {
    CHECK(told[p].name == made.parameters()[p].name);
    CHECK(told[p].shape == made.parameters()[p].shape);
    CHECK(told[p].value.count == made.parameters()[p].value.count);
    CHECK(told[p].value.data == nullptr);
  }
}
