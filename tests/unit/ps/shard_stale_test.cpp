// SPDX-License-Identifier: Apache-2.0
// Stale-synchronous and asynchronous: which updates a worker may miss, and that each is applied once.
#include "desk.hpp"
#include "simulation.hpp"
#include "support/stride.hpp"
#include "trireme/optim/lamb.hpp"
#include "trireme/optim/sgd.hpp"
#include "trireme/ps/client.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <random>

using namespace trireme;
using namespace trireme::ps;
using testing::Desk;
using testing::Simulation;

namespace {

std::shared_ptr<const KeyPlan> small_plan(std::uint32_t servers = 1) {
  return std::make_shared<const KeyPlan>(
      std::vector<TensorInfo>{{.name = "a", .shape = {3}}, {.name = "b", .shape = {2}}, {.name = "c", .shape = {5}}},
      KeyPlanOptions{.servers = servers});
}

std::unique_ptr<Optimizer> plain() { return std::make_unique<Sgd>(SgdOptions{.learning_rate = 1.0}); }

/// A gradient of -1 everywhere: with rate 1 a value is the number of pushes in it.
Payload counts(const KeyPlan& plan, Key key) {
  return testing::payload_of(std::vector<float>(plan.keys()[key].range.size(), -1.0f));
}

}  // namespace

TEST_CASE("Asynchronous with one worker is sequential descent, bit for bit") {
  const auto plan = small_plan();
  std::mt19937_64 random(5);
  std::normal_distribution<float> normal;
  Desk desk({.plan = plan,
             .consistency = Consistency::parse("async"),
             .make_optimizer = [] { return std::make_unique<Sgd>(SgdOptions{.learning_rate = 1.0, .momentum = 0.9}); },
             .staleness_aware = true});
  desk.join_all();
  Sgd local(SgdOptions{.learning_rate = 1.0, .momentum = 0.9});
  std::vector<float> values(3, 0.5f);
  desk.say(0, Initialise{.sequence = desk.next()}, testing::payload_of(values));
  for (std::uint64_t step = 1; step <= 50; ++step) {
    std::vector<float> gradient(3);
    for (float& g : gradient) g = normal(random);
    local.set_learning_rate(0.1 / static_cast<double>(step));
    local.apply("a", std::span(values), ConstTensorView(std::span<const float>(gradient)));
    desk.say(0,
             Push{.sequence = desk.next(),
                  .step = step,
                  .pulled_version = step - 1,
                  .learning_rate = 0.1 / static_cast<double>(step)},
             testing::payload_of(gradient));
    const auto out = desk.say(0, Pull{.request = step, .step = step});
    REQUIRE((*testing::first<Values>(out, 1)->payload == testing::payload_of(values)));
    CHECK(std::get<Values>(testing::first<Values>(out, 1)->control).version == step);
  }
}

TEST_CASE("An aware rate is divided by 1 and the share of updates that the push missed") {
  const auto plan = small_plan();
  Desk desk({.plan = plan,
             .consistency = Consistency::parse("async"),
             .workers = 2,
             .make_optimizer = plain,
             .staleness_aware = true});
  desk.join_all();
  desk.say(0, Initialise{.sequence = 1}, testing::payload_of<float>({0, 0, 0}));
  const auto push = [&](std::uint32_t rank, std::uint64_t sequence, std::uint64_t version) {
    desk.say(rank, Push{.sequence = sequence, .step = sequence, .pulled_version = version, .learning_rate = 1.0},
             counts(*plan, 0));
  };
  push(0, 2, 0);  // 1
  push(0, 3, 1);  // 1
  push(1, 4, 0);  // 1 / (1 + 2/2)
  const auto out = desk.say(0, Pull{.request = 1, .step = 3});
  CHECK(testing::elements_of<float>(*testing::first<Values>(out, 1)->payload) == std::vector<float>{2.5f, 2.5f, 2.5f});
}

TEST_CASE("In 100 000 steps with delays no worker misses more than s steps of another; s it does miss") {
  for (const std::uint32_t staleness : {1u, 3u}) {
    const auto plan = small_plan();
    const std::uint32_t workers = 4;
    Desk desk({.plan = plan,
               .consistency = {ConsistencyKind::stale_synchronous, staleness},
               .workers = workers,
               .make_optimizer = plain});
    desk.join_all();
    for (Key k = 0; k < 3; ++k)
      desk.say(0, Initialise{.sequence = desk.next(), .key = k}, Payload(counts(*plan, k).size(), std::byte{}));
    std::mt19937_64 random(staleness);
    std::vector<std::uint64_t> clocks(workers), delays(workers);
    std::vector<std::uint32_t> waits(workers);  // answers to come
    std::uint64_t steps = 0, most = 0;
    const auto hear = [&](const std::vector<Outgoing>& out) {
      for (const Outgoing& each : out) {
        const auto* values = std::get_if<Values>(&each.control);
        if (values == nullptr) continue;
        const std::size_t reader = each.to - 1;
        --waits[reader];
        const float value = testing::elements_of<float>(*each.payload).front();
        // The number of pushes in it: all own, and of each other worker all but those of s steps.
        const std::uint64_t of_others = clocks[reader] - std::min<std::uint64_t>(clocks[reader], staleness);
        if (value < static_cast<float>(clocks[reader] + (workers - 1) * of_others)) FAIL("a value misses too much");
        for (std::size_t other = 0; other < workers; ++other)
          most = std::max(most, clocks[reader] - std::min(clocks[reader], clocks[other]));
      }
    };
    while (steps < 100'000 / testing::stride) {
      const std::size_t w = random() % workers;
      if (waits[w] != 0) continue;
      if (delays[w] > 0) {
        --delays[w];
        continue;
      }
      if (random() % 50 == 0) delays[w] = random() % 60;
      ++steps;
      ++clocks[w];
      waits[w] = 3;
      for (Key k = 0; k < 3; ++k)
        hear(desk.say(static_cast<std::uint32_t>(w),
                      Push{.sequence = desk.next(), .key = k, .step = clocks[w], .learning_rate = 1.0},
                      counts(*plan, k)));
      for (Key k = 0; k < 3; ++k)
        hear(desk.say(static_cast<std::uint32_t>(w), Pull{.request = desk.next(), .key = k, .step = clocks[w]}));
    }
    CHECK(most == staleness);
    CHECK(desk.shard().statistics().most_staleness == staleness);
    CHECK(desk.shard().statistics().delayed_pulls > 1000 / testing::stride);
    CHECK(desk.shard().statistics().pushes == 300'000 / testing::stride);
  }
}

TEST_CASE("A worker that leaves or is lost is not waited for, and one that is new begins where the slowest is") {
  const auto plan = small_plan();
  Desk desk({.plan = plan, .consistency = Consistency::parse("ssp:1"), .workers = 3, .make_optimizer = plain});
  desk.join_all();
  desk.say(0, Initialise{.sequence = desk.next()}, Payload(12, std::byte{}));
  const auto push = [&](std::uint32_t rank, std::uint64_t step) {
    const auto out =
        desk.say(rank, Push{.sequence = desk.next(), .step = step, .learning_rate = 1.0}, counts(*plan, 0));
    CHECK(testing::failure(out, rank + 1) == "");
    return out;
  };
  const auto pull = [&](std::uint32_t rank, std::uint64_t step) {
    return desk.say(rank, Pull{.request = 1, .step = step});
  };
  for (std::uint64_t step = 1; step <= 3; ++step) push(0, step);
  CHECK(testing::first<Values>(pull(0, 3), 1) == nullptr);
  std::vector<Outgoing> out = desk.say(1, Leave{});
  CHECK(testing::first<Values>(out, 1) == nullptr);  // rank 2 is still to come
  out.clear();
  desk.shard().connection_lost(3, out);
  CHECK(testing::first<Values>(out, 1) != nullptr);
  // Rank 2 comes back as the same process and goes on; as another one it begins at the slowest's clock.
  desk.say(2, desk.join_of(2));
  CHECK(testing::first<Values>(pull(0, 3), 1) == nullptr);
  push(2, 1);
  CHECK(testing::first<Values>(push(2, 2), 1) != nullptr);
  out.clear();
  desk.shard().connection_lost(3, out);
  desk.say(2, desk.join_of(2, 2));
  push(0, 4);
  out = pull(0, 4);
  REQUIRE(testing::first<Values>(out, 1) != nullptr);
  CHECK(std::get<Values>(testing::first<Values>(out, 1)->control).clock == 3);
  push(0, 5);
  CHECK(testing::first<Values>(pull(0, 5), 1) == nullptr);
}

TEST_CASE("What a worker asks for behind its first push is given once that push has come, however long it waits") {
  const auto plan = small_plan();
  Desk desk({.plan = plan, .consistency = Consistency::parse("async"), .workers = 2, .make_optimizer = plain});
  desk.join_all();
  desk.say(0, Initialise{.sequence = 1}, Payload(12, std::byte{}));
  CHECK(testing::first<Values>(desk.say(0, Pull{.request = 1, .step = 0}), 1) != nullptr);
  CHECK(testing::first<Values>(desk.say(0, Pull{.request = 2, .step = 1}), 1) == nullptr);
  const auto out = desk.say(0, Push{.sequence = 2, .step = 1, .learning_rate = 1.0}, counts(*plan, 0));
  REQUIRE(testing::first<Values>(out, 1) != nullptr);
  CHECK(testing::elements_of<float>(*testing::first<Values>(out, 1)->payload) == std::vector<float>(3, 1.0f));
}

TEST_CASE("Whatever the order of messages and however often connections break, each push is applied once") {
  struct Job {
    const char* consistency;
    bool whole;
  };
  for (const Job& job : {Job{"async", false}, Job{"ssp:2", false}, Job{"async", true}, Job{"bsp", false}}) {
    for (std::uint64_t seed = 1; seed <= testing::schedules(150); ++seed) {
      CAPTURE(job.consistency, job.whole, seed);
      std::mt19937_64 random(seed);
      const auto plan = std::make_shared<const KeyPlan>(
          std::vector<TensorInfo>{{.name = "a", .shape = {4096 + 2}}, {.name = "b", .shape = {2}}},
          KeyPlanOptions{.partition_bytes = Bytes{16384},
                         .scope = job.whole ? UpdateScope::sums : UpdateScope::elements});
      Simulation world({.plan = plan,
                        .consistency = Consistency::parse(job.consistency),
                        .workers = 3,
                        .make_optimizer = [&]() -> std::unique_ptr<Optimizer> {
                          if (job.whole) return std::make_unique<Lamb>(LambOptions{.learning_rate = 0.5});
                          return plain();
                        },
                        .memory_bytes = random() % 2 ? 0u : 3 * 4098 * 4u + 100},
                       seed);
      const std::uint64_t steps = 4;
      for (std::uint32_t rank = 0; rank < 3; ++rank)
        world.add_worker(
            {.rank = rank, .steps = steps, .initialises = true, .gradient = [&](std::uint32_t, Key k, std::uint64_t) {
               return counts(*plan, k);
             }});
      const bool breaks = std::string(job.consistency) != "bsp";
      for (int cut = 0; cut < 6; ++cut) {
        world.run(random() % 40);
        if (breaks) world.reconnect(random() % 3, 0);
      }
      world.run();
      INFO(world.state());
      REQUIRE(world.all_done());
      CHECK(world.shard(0).waiting_bytes() == 0);
      std::vector<Outgoing> out;
      for (Key k = 0; k < plan->keys().size(); ++k) {
        const auto& last = world.workers()[0]->values().at(k);
        world.shard(0).handle(999,
                              {Join{.worker = ps::WorkerId{0} << 32 | 77,
                                    .rank = 0,
                                    .workers = 3,
                                    .leaves = 8,
                                    .plan_fingerprint = plan->fingerprint(),
                                    .consistency = job.consistency}},
                              out);
        out.clear();
        world.shard(0).handle(999, {Pull{.request = 1, .key = k}}, out);
        const auto* values = testing::first<Values>(out, 999);
        REQUIRE(values != nullptr);
        const std::uint64_t updates = breaks ? 3 * steps : steps;
        CHECK(std::get<Values>(values->control).version == updates);
        if (!job.whole) CHECK(testing::elements_of<float>(*values->payload).back() == static_cast<float>(updates));
        CHECK(last.size() == values->payload->size());
      }
    }
  }
}

TEST_CASE("Nobody waits for a stale-synchronous worker that pushes no more and stays, nor begins at its clock") {
  const auto plan =
      std::make_shared<const KeyPlan>(std::vector<TensorInfo>{{.name = "a", .shape = {3}}}, KeyPlanOptions{});
  Desk desk({.plan = plan, .consistency = Consistency::parse("ssp:1"), .workers = 3, .make_optimizer = plain});
  desk.say(0, desk.join_of(0));
  desk.say(1, desk.join_of(1));
  desk.say(0, Initialise{.sequence = desk.next()}, testing::payload_of<float>({0, 0, 0}));
  const auto push = [&](std::uint32_t rank, std::uint64_t step) {
    desk.say(rank, Push{.sequence = desk.next(), .step = step, .learning_rate = 1.0}, counts(*plan, 0));
  };
  const auto clock_at = [&](std::uint32_t rank, std::uint64_t step) -> std::optional<std::uint64_t> {
    const auto out = desk.say(rank, Pull{.request = desk.next(), .step = step});
    const auto* values = testing::first<Values>(out, rank + 1);
    if (values == nullptr) return std::nullopt;
    return std::get<Values>(values->control).clock;
  };
  push(0, 1);
  for (std::uint64_t step = 1; step <= 5; ++step) push(1, step);
  CHECK_FALSE(clock_at(1, 5));  // four ahead
  desk.say(0, Push{.sequence = desk.next(), .step = no_more_steps, .used = false});
  CHECK(clock_at(1, 5) == 5u);  // the one that is left
  CHECK(std::get<Values>(testing::first<Values>(desk.say(0, Pull{.request = desk.next()}), 1)->control).version == 6);
  desk.say(2, desk.join_of(2));
  CHECK(clock_at(2, 0) == 5u);
  push(2, 6);
  CHECK(clock_at(2, 6));
}
