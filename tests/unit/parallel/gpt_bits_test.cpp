// SPDX-License-Identifier: Apache-2.0
// A transformer trained on any number of ranks: tied embedding, dropout, recomputation.
#include "support/exact_inputs.hpp"
#include "trireme/data/distributed_sampler.hpp"
#include "trireme/models/gpt.hpp"
#include "trireme/optim/adamw.hpp"
#include "trireme/parallel/data_parallel.hpp"
#include "trireme/world/run_ranks.hpp"

#include <catch2/catch.hpp>

#include <cstdint>
#include <string>
#include <vector>

using namespace trireme;
using testing::run_ranks;

namespace {

/// Rows of tokens in which each follows from the one before, with some noise.
std::vector<std::uint16_t> some_tokens(std::size_t rows, std::size_t width, std::size_t vocabulary) {
  std::vector<std::uint16_t> tokens(rows * width);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const std::uint64_t noise = testing::mix(i);
    const std::size_t next = i % width == 0 ? noise : tokens[i - 1] * 3u + 1 + (noise % 8 == 0 ? 1 : 0);
    tokens[i] = static_cast<std::uint16_t>(next % vocabulary);
  }
  return tokens;
}

std::string trained(int ranks, bool recompute, bool views) {
  std::string bytes;
  run_ranks(ranks, [&](World& world) {
    constexpr std::size_t rows = 26, context = 6, vocabulary = 13;
    models::Gpt<float> model({.vocabulary = vocabulary,
                              .context = context,
                              .layers = 2,
                              .heads = 2,
                              .channels = 8,
                              .seed = 3,
                              .recompute = recompute,
                              .dropout = 0.1});
    const auto tokens = some_tokens(rows, context + 1, vocabulary);
    AdamW optimizer({.learning_rate = 0.01});
    DataParallel data_parallel(world.communicator(), model.parameters(),
                               {.bucket_bytes = Bytes{2048}, .logical_shards = 4, .gradients_as_bucket_views = views});
    model.use_gradients(data_parallel.parameters());
    DistributedSampler sampler({.count = rows, .global_batch = 9, .seed = 4});
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) {
        std::vector<std::uint16_t> own;
        for (const std::uint32_t row : shard.samples())
          own.insert(own.end(), tokens.begin() + row * (context + 1), tokens.begin() + (row + 1) * (context + 1));
        const auto first = static_cast<std::uint64_t>(shard.samples().data() - sampler.batch().data());
        model.set_place({.step = step.index(), .first_row = first});
        shard.weight(static_cast<double>(shard.samples().size() * context));
        model.forward_backward(own, shard.samples().size(), [&](std::size_t p) { shard.ready(p); });
      }
      if (step.reduce() != StepOutcome::ready) break;
      step.apply(optimizer, {.clip_norm = 1.0});
    }
    if (world.rank() != world.size() - 1) return;
    for (const Parameter& each : model.parameters())
      bytes.append(static_cast<const char*>(each.value.data), each.value.size_bytes());
  });
  return bytes;
}

}  // namespace

TEST_CASE("a transformer ends with the same bits on 1 to 4 ranks, recomputed or not, with bucket views or without") {
  const std::string alone = trained(1, false, false);
  for (const int ranks : {1, 2, 3, 4}) {
    for (const bool recompute : {false, true}) {
      for (const bool views : {false, true}) {
        CAPTURE(ranks, recompute, views);
        REQUIRE((trained(ranks, recompute, views) == alone));
      }
    }
  }
}
