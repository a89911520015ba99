// SPDX-License-Identifier: Apache-2.0
// Workers that train by themselves, each in a world of one, and meet at the servers.
#include "served_ranks.hpp"
#include "support/stride.hpp"
#include "trireme/optim/adamw.hpp"
#include "trireme/optim/sgd.hpp"
#include "trireme/parallel/data_parallel.hpp"
#include "trireme/world/run_ranks.hpp"
#include "unit/optim/rules.hpp"
#include "unit/parallel/field.hpp"
#include "unit/parallel/row_field.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <cmath>
#include <thread>

using namespace trireme;
using namespace trireme::testing;

namespace {

const ps::Consistency asynchronous{.kind = ps::ConsistencyKind::asynchronous};

/// One worker over one epoch.
template <class Model>
void train_alone(Model& model, Optimizer& optimizer, const ServedRanks* served, bool overlap) {
  run_ranks(1, [&](World& world) {
    DataParallelOptions options{.logical_shards = 4};
    if (served != nullptr) {
      options.synchronizer =
          ps::asynchronous_synchronizer({.servers = served->synchronizer(0), .overlap_pull = overlap});
    }
    DataParallel data_parallel(world.communicator(), model.parameters(), options);
    DistributedSampler sampler({.count = 43, .global_batch = 8, .seed = 9});
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) {
        for (std::size_t p = 0; p < model.parameters().size(); ++p) {
          if (overlap) data_parallel.access().acquire(p);
          model.backward(p, shard.samples());
          if (p != 1 || shard.samples()[0] % 2 == 0) shard.ready(p);
        }
      }
      if (step.reduce() != StepOutcome::ready) break;
      step.apply(optimizer, {.clip_norm = 1.5, .clip_value = 0.4});
    }
  });
}

/// A worker of a bowl: minimises |x - target|^2 / 2, whose gradient is the same whatever the sample.
void roll_into_bowl(const ServedRanks& served, int rank, int steps, std::vector<float>& x, float target) {
  std::vector<float> gradient(x.size());
  std::vector<Parameter> parameters{
      {"x", {static_cast<std::int64_t>(x.size())}, std::span<float>(x), std::span<float>(gradient)}};
  run_ranks(1, [&](World& world) {
    DataParallel data_parallel(world.communicator(), parameters,
                               {.synchronizer = ps::asynchronous_synchronizer({.servers = served.synchronizer(rank)})});
    Sgd optimizer({.learning_rate = 0.01});
    int made = 0;
    for (auto& step : data_parallel.steps()) {
      for (auto& shard : step.shards()) {
        for (std::size_t e = 0; e < x.size(); ++e) gradient[e] = x[e] - target;
        shard.ready(0);
      }
      step.reduce();
      step.apply(optimizer);
      if (++made == steps) break;
    }
  });
}

}  // namespace

TEST_CASE("asynchronous training with one worker is sequential training, bit for bit, for every rule") {
  for (const NamedRule& rule : all_rules()) {
    Field<float> alone({700, 5, 9000, 1}), one({700, 5, 9000, 1}), overlapped({700, 5, 9000, 1});
    const auto optimizer = rule.make(), for_rate = rule.make();
    train_alone(alone, *optimizer, nullptr, false);
    for (const ps::Consistency& consistency :
         {asynchronous, ps::Consistency{.kind = ps::ConsistencyKind::stale_synchronous, .staleness = 2}}) {
      if (is_thin && consistency != asynchronous && rule.name != "adamw" && rule.name != "lamb") continue;
      Field<float> model({700, 5, 9000, 1});
      const ServedRanks served(model.parameters(),
                               {.consistency = consistency, .leaves = 4, .make_optimizer = rule.make});
      train_alone(model, *for_rate, &served, consistency == asynchronous);
      CAPTURE(rule.name, consistency.to_string());
      REQUIRE((model.bytes() == alone.bytes()));
    }
  }
}

TEST_CASE("a row-sparse parameter of one asynchronous worker is trained as a dense one, and travels by rows") {
  const std::vector<RowField::Table> tables{{"embedding", {900, 16}, 400}, {"bias", {7}, 1}};
  const auto rule = [] { return std::make_unique<AdamW>(AdamWOptions{.learning_rate = 0.01}); };
  const auto train = [&](RowField& model, const ServedRanks* served) {
    std::uint64_t sent = 0;
    run_ranks(1, [&](World& world) {
      DataParallelOptions options{.logical_shards = 4};
      std::shared_ptr<ps::Client> client;
      if (served != nullptr) {
        client = served->connect(0);
        options.row_sparse = {"embedding"};
        options.synchronizer = ps::asynchronous_synchronizer({.servers = {.client = client, .plan = served->plan()}});
      }
      DataParallel data_parallel(world.communicator(), model.parameters(), options);
      const std::uint64_t before = client ? client->statistics().bytes_sent : 0;
      const auto optimizer = rule();
      DistributedSampler sampler({.count = 32, .global_batch = 8, .seed = 9});
      for (auto& step : data_parallel.steps(sampler)) {
        for (auto& shard : step.shards()) {
          const auto rows = model.backward(0, shard.samples(), 0.0);
          served != nullptr ? shard.ready_rows(0, rows) : shard.ready(0);
          model.backward(1, shard.samples(), 0.0);
          shard.ready(1);
        }
        step.reduce();
        step.apply(*optimizer);
      }
      if (client) sent = client->statistics().bytes_sent - before;
    });
    return sent;
  };
  RowField dense(tables, DType::f32, DType::f32), sparse(tables, DType::f32, DType::f32);
  const ServedRanks served(
      sparse.parameters(),
      {.consistency = asynchronous, .leaves = 4, .row_sparse = {"embedding"}, .make_optimizer = rule});
  train(dense, nullptr);
  const std::uint64_t sent = train(sparse, &served);
  REQUIRE((sparse.bytes() == dense.bytes()));
  CHECK(sent < 4u * 900 * 16 * 4 / 10);
}

TEST_CASE("asynchronous training with one worker behind sockets is sequential training") {
  for (const NamedRule& rule : all_rules()) {
    if (rule.name != "momentum" && rule.name != "lamb") continue;
    Field<float> alone({700, 5, 9000, 1});
    const auto optimizer = rule.make(), for_rate = rule.make();
    train_alone(alone, *optimizer, nullptr, false);
    for (const bool overlap : {false, true}) {
      Field<float> model({700, 5, 9000, 1});
      const ServedRanks served(
          model.parameters(),
          {.consistency = asynchronous, .leaves = 4, .make_optimizer = rule.make, .by_sockets = true});
      train_alone(model, *for_rate, &served, overlap);
      CAPTURE(rule.name, overlap);
      REQUIRE((model.bytes() == alone.bytes()));
    }
  }
}

TEST_CASE("64 asynchronous workers train together, and all of their updates count") {
  constexpr int workers = 64, steps = 20;
  std::vector<float> start(5000, 1.0f), result(5000, 1.0f);
  const std::vector<Parameter> parameters{{"x", {5000}, std::span<float>(result), std::span<float>(start)}};
  ServedRanks served(parameters, {.consistency = asynchronous, .workers = workers, .make_optimizer = [] {
                                    return std::make_unique<Sgd>(SgdOptions{.learning_rate = 0.01});
                                  }});
  std::vector<std::thread> threads;
  for (int w = 0; w < workers; ++w) {
    threads.emplace_back([&, w] {
      std::vector<float> own(5000, 1.0f);
      roll_into_bowl(served, w, steps, own, 0.25f);
    });
  }
  for (auto& each : threads) each.join();
  const auto client = served.connect(0);
  ps::fetch_values(*client, parameters);
  // Each of 1280 updates takes away about a hundredth of the distance, some of them of values of a while ago.
  for (const std::size_t e : {0u, 4999u}) CHECK(std::abs(result[e] - 0.25f) < 0.01f);
  CHECK(client->read_state(0).steps == workers * steps);
}

TEST_CASE("workers come and go, and those who stay miss nothing") {
  const ps::Consistency stale{.kind = ps::ConsistencyKind::stale_synchronous, .staleness = 3};
  std::vector<float> result(5000, 1.0f), unused(5000);
  const std::vector<Parameter> parameters{{"x", {5000}, std::span<float>(result), std::span<float>(unused)}};
  ServedRanks served(parameters, {.consistency = stale, .workers = 4, .make_optimizer = [] {
                                    return std::make_unique<Sgd>(SgdOptions{.learning_rate = 0.01});
                                  }});
  std::vector<std::thread> threads;
  std::vector<std::string> failures(4);
  for (int w = 0; w < 4; ++w) {
    threads.emplace_back([&, w] {
      std::vector<float> own(5000, 1.0f);
      try {
        // Of different lengths, one after the other with the same rank; the values go on.
        for (int life = 0; life < 3; ++life) roll_into_bowl(served, w, 10 + 25 * ((w + life) % 4), own, 0.25f);
      } catch (const std::exception& failed) {
        failures[static_cast<std::size_t>(w)] = failed.what();
      }
    });
  }
  for (auto& each : threads) each.join();
  CHECK(failures == std::vector<std::string>(4));
  const auto client = served.connect(0);
  CHECK(client->read_state(0).steps == 3 * (10 + 35 + 60 + 85));
  CHECK(served.in_process().statistics().most_staleness <= 3);
  client->leave();
}

TEST_CASE("a worker that comes late numbers its steps from where the others are") {
  const ps::Consistency stale{.kind = ps::ConsistencyKind::stale_synchronous, .staleness = 1};
  std::vector<float> x(5000, 1.0f), unused(5000);
  const std::vector<Parameter> parameters{{"x", {5000}, std::span<float>(x), std::span<float>(unused)}};
  for (const bool by_sockets : {false, true}) {
    const ServedRanks served(parameters, {.consistency = stale,
                                          .workers = 3,
                                          .make_optimizer = [] { return std::make_unique<Sgd>(SgdOptions{}); },
                                          .by_sockets = by_sockets});
    const auto clock_for = [&](int rank) {
      const auto client = served.connect(rank);
      ps::fetch_values(*client, parameters);
      const std::uint64_t clock = client->clock();
      client->leave();
      return clock;
    };
    roll_into_bowl(served, 0, 20, x, 0.25f);
    CHECK(clock_for(2) == 20);
    roll_into_bowl(served, 1, 5, x, 0.25f);  // steps 21 to 25: who waits for it by them waits for nothing that is done
    CHECK(clock_for(2) == 25);
  }
}

TEST_CASE("asynchronous workers take a communicator of one rank") {
  const Field<float> names({50});
  const ServedRanks served(names.parameters(), {.consistency = asynchronous, .workers = 2, .make_optimizer = [] {
                                                  return std::make_unique<Sgd>(SgdOptions{.learning_rate = 0.01});
                                                }});
  std::vector<std::string> heard(2);
  run_ranks(2, [&](World& world) {
    Field<float> model({50});
    try {
      DataParallel data_parallel(
          world.communicator(), model.parameters(),
          {.synchronizer = ps::asynchronous_synchronizer({.servers = served.synchronizer(world.rank())})});
    } catch (const Exception& refused) {
      heard[static_cast<std::size_t>(world.rank())] = refused.error().message;
    }
  });
  for (const std::string& each : heard) CHECK_THAT(each, Catch::Matchers::Contains("a communicator of one rank"));
}
