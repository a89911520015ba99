// SPDX-License-Identifier: Apache-2.0
// Parameter servers that sum, or update, change no bit: for every rule, with everything on that could disturb them.
#include "served_ranks.hpp"
#include "support/stride.hpp"
#include "trireme/optim/loss_scaler.hpp"
#include "trireme/optim/schedule.hpp"
#include "trireme/parallel/data_parallel.hpp"
#include "trireme/world/run_ranks.hpp"
#include "unit/optim/rules.hpp"
#include "unit/parallel/field.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using namespace trireme::literals;
using namespace trireme::testing;

namespace {

/// Matrices of one and of several keys, vectors, a scalar.
const std::vector<std::size_t> served_counts{6 * 11, 5, 9000, 1};
std::vector<Parameter> as_matrices(std::vector<Parameter> parameters) {
  parameters[0].shape = {6, 11};
  parameters[2].shape = {90, 100};
  return parameters;
}

enum class Way { all_reduce, summing, updating, updating_overlapped };

struct ServedWay {
  Way way = Way::all_reduce;
  int ranks = 1;
  bool overlap = true;
  bool views = false;
  bool by_sockets = false;
};

std::unique_ptr<Optimizer> grouped(const NamedRule& rule) {
  auto optimizer = rule.make();
  optimizer->add_group({.name = "slow", .parameters = {"*1"}, .learning_rate_scale = 0.5, .weight_decay = 0.0});
  return optimizer;
}

/// One of those that see elements alone, and one of those that see whole tensors.
bool stands_for_others(const NamedRule& rule) { return rule.name == "adamw" || rule.name == "lamb"; }

/// The parameters of the last rank in the end.
std::string served_training(const NamedRule& rule, const ServedWay& way) {
  const Field<float> names(served_counts);
  const bool updating = way.way == Way::updating || way.way == Way::updating_overlapped;
  ServedRanks::Options options{
      .workers = static_cast<std::uint32_t>(way.ranks), .leaves = 8, .by_sockets = way.by_sockets};
  if (updating) options.make_optimizer = [&] { return grouped(rule); };
  const ServedRanks served(as_matrices(names.parameters()), options);
  std::string bytes;
  run_ranks(way.ranks, [&](World& world) {
    Field<float> model(served_counts);
    const auto optimizer = grouped(rule);
    const Schedule schedule{.kind = ScheduleKind::cosine, .warmup_steps = 2, .total_steps = 6};
    LossScaler scaler({.initial = 256, .interval = 2});
    DataParallelOptions parallel{
        .bucket_bytes = 4_KiB, .logical_shards = 8, .overlap = way.overlap, .gradients_as_bucket_views = way.views};
    if (way.way == Way::summing) parallel.synchronizer = ps::summing_synchronizer(served.synchronizer(world.rank()));
    if (updating) {
      parallel.synchronizer = ps::updating_synchronizer(
          {.servers = served.synchronizer(world.rank()), .overlap_pull = way.way == Way::updating_overlapped});
    }
    DataParallel data_parallel(world.communicator(), as_matrices(model.parameters()), parallel);
    if (way.views) model.use_gradients(data_parallel.parameters());
    DistributedSampler sampler({.count = 55, .global_batch = 10, .seed = 5});
    const double rate = optimizer->learning_rate();
    std::uint64_t t = 0;
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) {
        for (std::size_t p = served_counts.size(); p-- > 0;) {
          if (way.way == Way::updating_overlapped) data_parallel.access().acquire(p);
          model.backward(p, shard.samples());
          // The scale overflows once: that step is skipped.
          for (float& g : model.gradient(p)) g *= static_cast<float>(scaler.scale());
          if (t == 3 && shard.samples()[0] % 2 == 0) model.gradient(p)[0] = std::numeric_limits<float>::infinity();
          if (p == 1 && t == 1) continue;                                 // nobody uses it
          if (p == 0 && t == 2 && shard.samples()[0] % 3 != 0) continue;  // some do
          shard.ready(p);
        }
      }
      if (step.reduce() != StepOutcome::ready) break;
      optimizer->set_learning_rate(rate * schedule.factor(++t));
      step.apply(*optimizer, {.clip_norm = 3.0, .clip_value = 0.5, .loss_scaler = &scaler});
    }
    if (way.way == Way::updating_overlapped) {
      for (std::size_t p = 0; p < served_counts.size(); ++p) data_parallel.access().acquire(p);
    }
    if (world.rank() == world.size() - 1) bytes = model.bytes();
  });
  return bytes;
}

}  // namespace

TEST_CASE("servers that sum end with the bits of all-reduce, for every rule on 2, 3 and 4 ranks") {
  for (const NamedRule& rule : all_rules()) {
    if (is_thin && !stands_for_others(rule)) continue;  // the rule is the worker's alone
    const std::string expected = served_training(rule, {});
    for (const int ranks : thinned({2, 3, 4}, {2, 3})) {
      CAPTURE(rule.name, ranks);
      REQUIRE((served_training(rule, {.way = Way::summing, .ranks = ranks}) == expected));
    }
  }
}

TEST_CASE("servers that update end with the bits of all-reduce, for every rule on 2, 3 and 4 ranks") {
  for (const NamedRule& rule : all_rules()) {
    const std::string expected = served_training(rule, {});
    for (const int ranks : stands_for_others(rule) ? thinned({2, 3, 4}, {2, 3}) : thinned({2, 3, 4}, {2})) {
      CAPTURE(rule.name, ranks);
      REQUIRE((served_training(rule, {.way = Way::updating, .ranks = ranks}) == expected));
    }
  }
}

TEST_CASE("values that are awaited as they are used have the same bits") {
  for (const NamedRule& rule : all_rules()) {
    if (rule.name != "adamw" && rule.name != "lamb" && rule.name != "muon") continue;
    CAPTURE(rule.name);
    const std::string expected = served_training(rule, {});
    for (const int ranks : {1, 3})
      REQUIRE((served_training(rule, {.way = Way::updating_overlapped, .ranks = ranks}) == expected));
  }
}

TEST_CASE("servers keep the bits without overlap, beside bucket views, and with one worker or one for each leaf") {
  const NamedRule rule{"adamw", [] { return std::make_unique<AdamW>(AdamWOptions{.learning_rate = 0.02}); }};
  const std::string expected = served_training(rule, {});
  for (const Way way : {Way::summing, Way::updating}) {
    for (const int ranks : thinned({1, 2, 8}, {1, 8})) {
      CAPTURE(static_cast<int>(way), ranks);
      REQUIRE((served_training(rule, {.way = way, .ranks = ranks, .overlap = false}) == expected));
      REQUIRE((served_training(rule, {.way = way, .ranks = ranks, .views = true}) == expected));
    }
  }
}

TEST_CASE("servers behind sockets end with the same bits") {
  for (const NamedRule& rule : all_rules()) {
    if (rule.name != "adamw" && rule.name != "lars" && rule.name != "adafactor") continue;
    const std::string expected = served_training(rule, {});
    for (const Way way : {Way::summing, Way::updating, Way::updating_overlapped}) {
      for (const int ranks : thinned({1, 2, 3}, {2})) {
        CAPTURE(rule.name, static_cast<int>(way), ranks);
        REQUIRE((served_training(rule, {.way = way, .ranks = ranks, .by_sockets = true}) == expected));
      }
    }
  }
}
