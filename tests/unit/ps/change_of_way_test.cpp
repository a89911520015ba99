// SPDX-License-Identifier: Apache-2.0
// From all-reduce to servers and back between steps: no update is lost, and no bit changes.
#include "served_ranks.hpp"
#include "support/stride.hpp"
#include "trireme/optim/adamw.hpp"
#include "trireme/optim/sgd.hpp"
#include "trireme/parallel/data_parallel.hpp"
#include "trireme/world/run_ranks.hpp"
#include "unit/parallel/field.hpp"

#include <catch2/catch.hpp>

#include <set>
#include <stdexcept>
#include <thread>

using namespace trireme;
using namespace trireme::testing;

namespace {

const std::vector<std::size_t> changing_counts{700, 5, 9000, 1};

struct Changes {
  int ranks = 1;
  std::set<int> to_servers{};     ///< steps behind which it changes
  std::set<int> to_all_reduce{};  ///< the same
};

/// The parameters of the last rank, and how many steps were made.
std::pair<std::string, int> train_changing(const Changes& changes) {
  const Field<float> names(changing_counts);
  const ServedRanks served(names.parameters(), {.workers = static_cast<std::uint32_t>(changes.ranks), .leaves = 8});
  std::pair<std::string, int> end;
  run_ranks(changes.ranks, [&](World& world) {
    Field<float> model(changing_counts);
    AdamW optimizer({.learning_rate = 0.02});
    DataParallel data_parallel(world.communicator(), model.parameters(), {.logical_shards = 8});
    const auto servers = ps::summing_synchronizer(served.synchronizer(world.rank()));
    DistributedSampler sampler({.count = 55, .global_batch = 10, .seed = 5});
    int made = 0;
    while (sampler.cursor().epoch < 2) {
      for (auto& step : data_parallel.steps(sampler)) {
        for (auto& shard : step.shards()) model.backward(shard.samples(), [&](std::size_t p) { shard.ready(p); });
        step.reduce();
        step.apply(optimizer, {.clip_norm = 1.0});
        ++made;
        if (changes.to_servers.contains(made)) data_parallel.use(servers);
        if (changes.to_all_reduce.contains(made)) data_parallel.use(nullptr);
      }
    }
    if (world.rank() == world.size() - 1) end = {model.bytes(), made};
  });
  return end;
}

}  // namespace

TEST_CASE("a job that changes between all-reduce and servers loses no update and no bit") {
  const auto expected = train_changing({});
  CHECK(expected.second == 12);
  for (const int ranks : thinned({1, 2, 3, 4}, {2, 3})) {
    CAPTURE(ranks);
    // Inside an epoch, at its end, at the last step, twice in a row, to the way that it goes already.
    CHECK((train_changing({ranks, {3}, {5}}) == expected));
    CHECK((train_changing({ranks, {6}, {7}}) == expected));
    CHECK((train_changing({ranks, {1, 2, 4, 12}, {3, 9}}) == expected));
    CHECK((train_changing({ranks, {2}, {}}) == expected));
    CHECK((train_changing({ranks, {}, {1, 2}}) == expected));
  }
}

TEST_CASE("a synchronizer of servers that update is made anew behind a step that was left, and passes over that step") {
  std::vector<float> x(9000, 1.0f), gradient(9000);
  const std::vector<Parameter> parameters{{"x", {9000}, std::span<float>(x), std::span<float>(gradient)}};
  const ServedRanks served(parameters,
                           {.make_optimizer = [] { return std::make_unique<Sgd>(SgdOptions{.learning_rate = 0.5}); }});
  run_ranks(1, [&](World& world) {
    DataParallelOptions options;
    options.synchronizer = ps::updating_synchronizer(
        {.servers = {.client = served.in_process().connect(0, std::chrono::seconds(5)), .plan = served.plan()}});
    DataParallel data_parallel(world.communicator(), parameters, options);
    Sgd optimizer({.learning_rate = 0.5});
    const auto step = [&](float value, bool applies) {
      for (auto& each : data_parallel.steps()) {
        for (auto& shard : each.shards()) {
          std::fill(gradient.begin(), gradient.end(), value);
          shard.ready(0);
        }
        REQUIRE(each.reduce() == StepOutcome::ready);
        if (applies) each.apply(optimizer);
        break;
      }
    };
    step(1000.0f, false);
    data_parallel.rebind(world.communicator());
    step(1.0f, true);
    CHECK(x == std::vector<float>(9000, 0.5f));
  });
}

TEST_CASE("what was asked for before a change is heard after it, and explain() says how gradients travel") {
  const Field<float> names(changing_counts);
  const ServedRanks served(names.parameters(), {.workers = 2, .leaves = 2});
  std::vector<std::string> said(2);
  std::vector<int> made(2, 0), saves(2, 0);
  run_ranks(2, [&](World& world) {
    const auto rank = static_cast<std::size_t>(world.rank());
    Field<float> model(changing_counts);
    AdamW optimizer({.learning_rate = 0.02});
    DataParallel data_parallel(world.communicator(), model.parameters(), {});
    const auto servers = ps::summing_synchronizer(served.synchronizer(world.rank()));
    DistributedSampler sampler({.count = 80, .global_batch = 8});
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) model.backward(shard.samples(), [&](std::size_t p) { shard.ready(p); });
      const StepOutcome outcome = step.reduce();
      if (step.checkpoint_requested()) ++saves[rank];
      if (outcome != StepOutcome::ready) break;
      step.apply(optimizer);
      if (++made[rank] == 2) {
        data_parallel.use(servers);
        if (rank == 1) data_parallel.request_checkpoint();
      }
      if (made[rank] == 4) {
        said[rank] = data_parallel.explain();
        data_parallel.use(nullptr);
        if (rank == 0) data_parallel.request_stop();
      }
    }
  });
  CHECK(made == std::vector<int>{4, 4});
  CHECK(saves == std::vector<int>{1, 1});
  CHECK_THAT(said[0], Catch::Matchers::StartsWith(
                          "gradients go to 2 parameter servers, where they are summed, in place of all_reduce"));
  CHECK(said[0] == said[1]);
}

TEST_CASE("a job that ends in the midst of a step is lost to the others, who are told so") {
  const Field<float> names(changing_counts);
  for (const bool by_sockets : {false, true}) {
    const ServedRanks served(names.parameters(), {.workers = 2, .leaves = 2, .by_sockets = by_sockets});
    // Each in a world of its own, so that what is heard comes from the servers.
    // Rank 1 holds its client besides, as a program may that fetches checkpoints by it.
    ps::SynchronizerOptions held = served.synchronizer(1);
    const auto train = [&](int rank) {
      run_ranks(1, [&](World& world) {
        Field<float> model(changing_counts);
        DataParallelOptions options{.logical_shards = 2};
        options.synchronizer = ps::summing_synchronizer(rank == 1 ? held : served.synchronizer(rank));
        DataParallel data_parallel(world.communicator(), model.parameters(), options);
        DistributedSampler sampler({.count = 80, .global_batch = 8});
        int made = 0;
        for (auto& step : data_parallel.steps(sampler)) {
          for (auto& shard : step.shards()) {
            model.backward(shard.samples(), [&](std::size_t p) {
              if (made == 2 && rank == 1 && p == 0) throw std::runtime_error("out of data");
              shard.ready(p);
            });
          }
          step.reduce();
          ++made;
        }
      });
    };
    std::vector<std::string> heard(2);
    std::vector<std::thread> ranks;
    for (int rank = 0; rank < 2; ++rank) {
      ranks.emplace_back([&, rank] {
        try {
          train(rank);
        } catch (const std::exception& error) {
          heard[static_cast<std::size_t>(rank)] = error.what();
        }
      });
    }
    for (auto& each : ranks) each.join();
    CHECK_THAT(heard[0], Catch::Matchers::Contains("worker 1 is lost"));
    CHECK_THAT(heard[1], Catch::Matchers::Contains("out of data"));
    CHECK_THROWS_WITH(held.client->push_nothing(0, {.step = 3}),
                      Catch::Matchers::Contains("has ended its connections"));
  }
}

TEST_CASE("ranks that want to go different ways are told so, and go on as before") {
  const Field<float> names(changing_counts);
  const ServedRanks served(names.parameters(), {.workers = 2, .leaves = 2});
  std::vector<std::string> heard(2);
  std::vector<int> made(2, 0);
  run_ranks(2, [&](World& world) {
    const auto rank = static_cast<std::size_t>(world.rank());
    Field<float> model(changing_counts);
    AdamW optimizer({.learning_rate = 0.02});
    DataParallel data_parallel(world.communicator(), model.parameters(), {});
    const auto servers = ps::summing_synchronizer(served.synchronizer(world.rank()));
    DistributedSampler sampler({.count = 80, .global_batch = 8});
    const auto train = [&] {
      for (auto& step : data_parallel.steps(sampler)) {
        for (auto& shard : step.shards()) model.backward(shard.samples(), [&](std::size_t p) { shard.ready(p); });
        step.reduce();
        step.apply(optimizer);
        if (++made[rank] == 2 && rank == 0) data_parallel.use(servers);
        if (made[rank] == 2 && rank == 1) data_parallel.use(nullptr);
      }
    };
    try {
      train();
    } catch (const Exception& refused) {
      if (refused.error().code == ErrorCode::mismatch) heard[rank] = refused.error().message;
    }
    train();
  });
  for (const std::string& each : heard) CHECK_THAT(each, Catch::Matchers::Contains("summing parameter servers"));
  CHECK(made == std::vector<int>{10, 10});
}
