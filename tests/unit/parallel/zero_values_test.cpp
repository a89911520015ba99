// SPDX-License-Identifier: Apache-2.0
// Stage 3: no rank has all values. A transformer asks for them layer by layer.
#include "ranks.hpp"
#include "support/exact_inputs.hpp"
#include "support/stride.hpp"
#include "trireme/data/distributed_sampler.hpp"
#include "trireme/models/gpt.hpp"
#include "trireme/optim/adadelta.hpp"
#include "trireme/optim/adafactor.hpp"
#include "trireme/optim/adagrad.hpp"
#include "trireme/optim/adam.hpp"
#include "trireme/optim/adamw.hpp"
#include "trireme/optim/lamb.hpp"
#include "trireme/optim/lars.hpp"
#include "trireme/optim/lion.hpp"
#include "trireme/optim/loss_scaler.hpp"
#include "trireme/optim/muon.hpp"
#include "trireme/optim/nadam.hpp"
#include "trireme/optim/rmsprop.hpp"
#include "trireme/optim/sgd.hpp"
#include "trireme/parallel/data_parallel.hpp"
#include "trireme/world/run_ranks.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

using namespace trireme;
using namespace trireme::testing;

namespace {

constexpr std::size_t rows = 25, context = 6, vocabulary = 131, channels = 36;

models::GptOptions gpt(bool elsewhere, bool recompute = false) {
  return {.vocabulary = vocabulary,
          .context = context,
          .layers = 3,
          .heads = 2,
          .channels = channels,
          .seed = 3,
          .recompute = recompute,
          .dropout = 0.1,
          .memory_elsewhere = elsewhere};
}

std::vector<std::uint16_t> tokens_of(std::span<const std::uint32_t> samples) {
  std::vector<std::uint16_t> tokens;
  for (const std::uint32_t row : samples)
    for (std::size_t i = 0; i <= context; ++i)
      tokens.push_back(static_cast<std::uint16_t>(testing::mix(row * 100 + i / 2) % vocabulary));
  return tokens;
}

using MakeOptimizer = std::function<std::unique_ptr<Optimizer>()>;

struct Training {
  DataParallelOptions options{};
  MakeOptimizer optimizer = [] { return std::make_unique<AdamW>(AdamWOptions{.learning_rate = 0.01}); };
  bool recompute = false;
  bool offloaded = false;  ///< state in a file
  bool overflows = false;  ///< the gradients of one leaf of the second step
  std::function<void(World&, DataParallel&)> look = [](World&, DataParallel&) {};
};

/// The values of all parameters after an epoch, of which the last batch is short, so that leaves are empty.
std::string trained(int ranks, Training training) {
  std::string bytes;
  run_ranks(ranks, [&](World& world) {
    const bool elsewhere = training.options.zero_stage == 3;
    models::Gpt<float> model(gpt(elsewhere, training.recompute));
    const auto optimizer = training.optimizer();
    if (training.offloaded) optimizer->offload({.folder = std::filesystem::temp_directory_path()});
    LossScaler scaler({.initial = 1.0});
    DataParallelOptions options = training.options;
    if (elsewhere) {
      options.units = model.units();
      options.initial = [&](std::size_t p, std::size_t first, TensorView part) { model.set_initial(p, first, part); };
    }
    DataParallel data_parallel(world.communicator(), model.parameters(), options);
    if (elsewhere) model.use_access(data_parallel.access());
    DistributedSampler sampler({.count = rows, .global_batch = 9, .seed = 4});
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) {
        const auto own = tokens_of(shard.samples());
        const auto first =
            shard.samples().empty() ? 0 : static_cast<std::uint64_t>(shard.samples().data() - sampler.batch().data());
        model.set_place({.step = step.index(), .first_row = first});
        shard.weight(static_cast<double>(shard.samples().size() * context));
        model.forward_backward(own, shard.samples().size(), [&](std::size_t p) {
          training.look(world, data_parallel);
          if (training.overflows && step.index() == 1 && first == 0 && !shard.samples().empty())
            model.parameters()[p].gradient.as<float>().front() = std::numeric_limits<float>::infinity();
          shard.ready(p);
        });
      }
      if (step.reduce() != StepOutcome::ready) break;
      step.apply(*optimizer, {.clip_norm = 1.0, .loss_scaler = training.overflows ? &scaler : nullptr});
    }
    for (std::size_t p = 0; p < model.parameters().size(); ++p) {
      const std::size_t unit = elsewhere ? data_parallel.access().unit_of(p) : 0;
      if (elsewhere) data_parallel.access().acquire(unit);
      const TensorView value = elsewhere ? data_parallel.access().value(p) : model.parameters()[p].value;
      if (world.rank() == world.size() - 1) bytes.append(static_cast<const char*>(value.data), value.size_bytes());
      if (elsewhere) data_parallel.access().release(unit);
    }
  });
  return bytes;
}

std::string at_stage(int ranks, int stage, DataParallelOptions options = {}, bool recompute = false) {
  options.zero_stage = stage;
  options.logical_shards = 8;
  return trained(ranks, {.options = options, .recompute = recompute});
}

template <class Rule, class Options>
MakeOptimizer rule(const Options& options) {
  return [options] { return std::make_unique<Rule>(options); };
}

struct RuleCase {
  const char* name;
  MakeOptimizer make;
  bool whole_tensors = false;
};

std::vector<RuleCase> rule_cases() {
  return {
      {"sgd", rule<Sgd>(SgdOptions{.learning_rate = 0.1})},
      {"momentum", rule<Sgd>(SgdOptions{.learning_rate = 0.1, .momentum = 0.9})},
      {"nesterov", rule<Sgd>(SgdOptions{.learning_rate = 0.1, .momentum = 0.9, .nesterov = true})},
      {"adam", rule<Adam>(AdamOptions{.learning_rate = 0.01})},
      {"nadam", rule<NAdam>(NAdamOptions{.learning_rate = 0.01})},
      {"rmsprop", rule<RmsProp>(RmsPropOptions{.learning_rate = 0.01})},
      {"adagrad", rule<Adagrad>(AdagradOptions{.learning_rate = 0.01})},
      {"adadelta", rule<Adadelta>(AdadeltaOptions{})},
      {"lamb", rule<Lamb>(LambOptions{.learning_rate = 0.01})},
      {"lars", rule<Lars>(LarsOptions{.learning_rate = 0.1})},
      {"lion", rule<Lion>(LionOptions{.learning_rate = 0.001})},
      {"adafactor", rule<Adafactor>(AdafactorOptions{}), true},
      {"muon", rule<Muon>(MuonOptions{}), true},
  };
}

}  // namespace

TEST_CASE("at stage 3 a transformer ends with the bits of stage 0 on any number of ranks, recomputed or not") {
  const std::string whole = at_stage(1, 0);
  for (const int ranks : thinned({1, 2, 3, 4, 8}, {2, 3})) {
    CAPTURE(ranks);
    REQUIRE((at_stage(ranks, 3) == whole));
  }
  REQUIRE((at_stage(2, 3, {}, true) == whole));
}

TEST_CASE("at stage 3 leaves dealt out in turn, groups that share the values, and no overlap change no bit") {
  const std::string whole = at_stage(1, 0);
  REQUIRE((at_stage(4, 3, {.leaf_assignment = LeafAssignment::cyclic}) == whole));
  REQUIRE((at_stage(4, 3, {.shard_group = 2}) == whole));
  REQUIRE((at_stage(6, 3, {.shard_group = 3}) == whole));
  REQUIRE((at_stage(3, 3, {.overlap = false}) == whole));
}

TEST_CASE("at stage 3 every rule ends with the bits of stage 0, those that see whole tensors with whole tensors") {
  for (const RuleCase& each : rule_cases()) {
    const std::string name = each.name;
    if (is_thin && name != "adam" && name != "lamb" && name != "adafactor") continue;
    CAPTURE(each.name);
    const std::string whole = trained(1, {.options = {.logical_shards = 4}, .optimizer = each.make});
    REQUIRE((trained(3, {.options = {.logical_shards = 4, .zero_stage = 3, .zero_whole_tensors = each.whole_tensors},
                         .optimizer = each.make}) == whole));
  }
}

TEST_CASE(
    "every rule, at every stage, on 2, 3, 4 and 8 ranks, with state in memory or in a file, ends with the same bits",
    "[.full]") {
  for (const RuleCase& each : rule_cases()) {
    const std::string whole = trained(1, {.options = {.logical_shards = 8}, .optimizer = each.make});
    for (const int ranks : {2, 3, 4, 8}) {
      for (const int stage : {1, 2, 3}) {
        for (const bool offloaded : {false, true}) {
          CAPTURE(each.name, ranks, stage, offloaded);
          REQUIRE(
              (trained(ranks,
                       {.options = {.logical_shards = 8, .zero_stage = stage, .zero_whole_tensors = each.whole_tensors},
                        .optimizer = each.make,
                        .offloaded = offloaded}) == whole));
        }
      }
    }
  }
}

TEST_CASE("optimizer state in a file ends with the bits of state in memory, at every stage") {
  const std::string whole = at_stage(1, 0);
  for (const int stage : {0, 1, 2, 3}) {
    CAPTURE(stage);
    REQUIRE((trained(2, {.options = {.logical_shards = 8, .zero_stage = stage}, .offloaded = true}) == whole));
  }
}

TEST_CASE("at stage 3 a step that overflows on one rank is left out on all, and the next ones are those of stage 0") {
  const auto scaled = [](int ranks, int stage) {
    return trained(ranks, {.options = {.logical_shards = 4, .zero_stage = stage}, .overflows = true});
  };
  REQUIRE((scaled(3, 3) == scaled(1, 0)));
}

TEST_CASE("at stage 3 a rank holds its part of the values and two units at most") {
  constexpr int ranks = 4;
  std::vector<std::uint64_t> most(ranks, 0);
  trained(ranks,
          {.options = {.logical_shards = 4, .zero_stage = 3}, .look = [&](World& world, DataParallel& data_parallel) {
             auto& here = most[static_cast<std::size_t>(world.rank())];
             here = std::max(here, data_parallel.value_memory().value);
           }});
  const models::Gpt<float> model(gpt(true));
  std::vector<std::uint64_t> units;
  std::uint64_t all = 0, padding = 0;
  for (const auto& unit : model.units()) {
    units.push_back(0);
    for (const Parameter& each : model.parameters()) {
      if (std::count(unit.begin(), unit.end(), each.name) == 0) continue;
      units.back() += (each.value.size_bytes() + 63) / 64 * 64;
      padding += 64;
    }
    all += units.back();
    padding += 4096 * sizeof(float);  // an edge is at the next block
  }
  std::sort(units.rbegin(), units.rend());
  for (const std::uint64_t here : most) REQUIRE(here <= all / ranks + padding + units[0] + units[1] + 256);
}

TEST_CASE("a step of stage 3 sends three times its share of the parameters, less than one hundredth above") {
  constexpr int ranks = 4;
  std::vector<std::uint64_t> sent(ranks, 0);
  std::uint64_t bytes = 0;
  run_ranks(
      ranks,
      [&](World& world) {
        models::GptOptions options = gpt(true);
        options.channels = 192;
        options.layers = 4;
        models::Gpt<float> model(options);
        Sgd optimizer({.learning_rate = 0.1});
        DataParallel data_parallel(
            world.communicator(), model.parameters(),
            {.zero_stage = 3,
             .units = model.units(),
             .initial = [&](std::size_t p, std::size_t first, TensorView part) { model.set_initial(p, first, part); }});
        model.use_access(data_parallel.access());
        DistributedSampler sampler({.count = 16, .global_batch = 4, .seed = 4});
        std::uint64_t before = 0, steps = 0;
        for (auto& step : data_parallel.steps(sampler)) {
          if (step.index() == 2) before = world.communicator().payload_bytes_sent();
          for (auto& shard : step.shards())
            model.forward_backward(tokens_of(shard.samples()), shard.samples().size(),
                                   [&](std::size_t p) { shard.ready(p); });
          step.reduce();
          step.apply(optimizer);
          steps += step.index() >= 2;
        }
        sent[static_cast<std::size_t>(world.rank())] = (world.communicator().payload_bytes_sent() - before) / steps;
        if (world.rank() != 0) return;
        for (const Parameter& each : model.parameters()) bytes += each.value.size_bytes();
      },
      {.transport = "tcp"});
  const double formula = 3.0 * static_cast<double>(bytes) * (ranks - 1) / ranks;
  double all = 0;
  for (const std::uint64_t each : sent) all += static_cast<double>(each);
  CAPTURE(formula, all / ranks);
  REQUIRE(all / ranks <= 1.01 * formula);
  REQUIRE(all / ranks >= 0.99 * formula);
}

TEST_CASE("what stage 3 cannot do is refused, saying what to do instead") {
  Complaints complaints(1);
  run_ranks(1, [&](World& world) {
    models::Gpt<float> model(gpt(true));
    complaints.expect_refusal(0, "has no values: give them memory, or set DataParallelOptions::initial",
                              [&] { DataParallel(world.communicator(), model.parameters(), {.zero_stage = 3}); });
    std::vector<Parameter> mixed = model.parameters();
    std::vector<float> memory(mixed[1].value.count);
    mixed[1].value = std::span<float>(memory);
    complaints.expect_refusal(0, "give all parameters memory, or none",
                              [&] { DataParallel(world.communicator(), mixed, {.zero_stage = 3}); });
    DataParallel data_parallel(
        world.communicator(), model.parameters(),
        {.zero_stage = 3, .units = model.units(), .initial = [&](std::size_t p, std::size_t first, TensorView part) {
           model.set_initial(p, first, part);
         }});
    DistributedSampler sampler({.count = 4, .global_batch = 4});
    for (auto& step : data_parallel.steps(sampler)) {
      complaints.expect_refusal(0, "every rank passes all its shards", [&] { step.reduce(); });
      for (auto& shard : step.shards()) shard.weight(1);
      break;
    }
    data_parallel.access().acquire(1);
    complaints.expect_refusal(0, "while unit 1 is held", [&] { data_parallel.values_written(); });
    data_parallel.access().release(1);
    complaints.expect(0, data_parallel.owned_value(2).count == data_parallel.owned(2).size(), "another part");
    try {
      data_parallel.rebind(world.communicator());
      complaints.expect(0, false, "rebind() is not refused");
    } catch (const Exception& refused) {
      complaints.expect(0, refused.error().code == ErrorCode::unsupported, refused.what());
    }
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE(
    "at stage 3 a model that computes with its own values, which nobody updates, is refused by the parameter's name") {
  Complaints complaints(2);
  run_ranks(2, [&](World& world) {
    std::vector<float> values(6, 1.0f), gradients(6, 0.5f);
    const std::vector<Parameter> parameters = {{"weight", {6}, std::span(values), std::span(gradients)}};
    DataParallel data_parallel(world.communicator(), parameters, {.zero_stage = 3});
    DistributedSampler sampler({.count = 4, .global_batch = 4});
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) {
        complaints.expect_refusal(world.rank(), "'weight' has a gradient, and nobody has acquired its values",
                                  [&] { shard.ready(0); });
        data_parallel.access().acquire(0);
        data_parallel.access().release(0);
        shard.ready(0);
      }
      step.reduce();
      break;
    }
  });
  REQUIRE(complaints.all() == "");
}
