// SPDX-License-Identifier: Apache-2.0
// Servers that do not reach each other, and all of them alive: of two that hold the same keys one goes on, and what was acknowledged
// is in what it has. And servers that die one after the other for good: what is left has replicas again.
#include "desk.hpp"
#include "simulation.hpp"
#include "trireme/optim/sgd.hpp"

#include <catch2/catch.hpp>

#include <memory>
#include <random>

using namespace trireme;
using namespace trireme::ps;
using testing::Simulation;

namespace {

constexpr std::uint32_t workers = 3;

/// Counters: each push adds one to every element of its key.
struct Counters {
  Counters(std::string consistency_, std::uint32_t servers, std::uint64_t steps_, std::uint64_t seed)
      : consistency(std::move(consistency_)),
        steps(steps_),
        plan(std::make_shared<const KeyPlan>(
            std::vector<TensorInfo>{
                {.name = "a", .shape = {4096 + 2}}, {.name = "b", .shape = {2}}, {.name = "c", .shape = {3}}},
            KeyPlanOptions{.servers = servers, .partition_bytes = Bytes{16384}, .replicas = true})),
        random(seed),
        world({.plan = plan,
               .consistency = Consistency::parse(consistency),
               .workers = workers,
               .make_optimizer = [] { return std::make_unique<Sgd>(SgdOptions{.learning_rate = 1.0}); },
               .memory_bytes = seed % 3 ? 0u : 6 * 4098 * 4u + 100,
               .replicas = true},
              seed) {
    for (std::uint32_t rank = 0; rank < workers; ++rank)
      world.add_worker({.rank = rank,
                        .steps = steps,
                        .initialises = true,
                        .gradient = [this](std::uint32_t, Key key, std::uint64_t) {
                          return testing::payload_of(std::vector<float>(plan->keys()[key].range.size(), -1.0f));
                        }});
    REQUIRE(world.run_until([&] { return world.is_replicated(); }));
  }

  /// Every worker has done all its steps, each push is in the values once, and all read the same.
  void check() {
    INFO(world.state());
    REQUIRE(world.all_done());
    const std::uint64_t pushes = consistency == "bsp" ? steps : steps * workers;
    for (Key key = 0; key < plan->keys().size(); ++key) {
      for (std::size_t reader = 0; reader < workers; ++reader) {
        REQUIRE(world.workers()[reader]->acknowledged().at(key) == steps);
        const auto [version, values] = world.read(reader, key);
        REQUIRE(version == pushes);
        REQUIRE(testing::elements_of<float>(values).back() == static_cast<float>(pushes));
      }
    }
  }

  std::string consistency;
  std::uint64_t steps;
  std::shared_ptr<const KeyPlan> plan;
  std::mt19937_64 random;
  Simulation world;
};

}  // namespace

TEST_CASE("Servers do not reach each other, workers lose one or not: nothing acknowledged is lost") {
  for (const std::string consistency : {"async", "ssp:1", "bsp"}) {
    for (std::uint64_t seed = 1; seed <= testing::schedules(200); ++seed) {
      CAPTURE(consistency, seed);
      Counters counters(consistency, 2 + static_cast<std::uint32_t>(seed % 2), 6, seed);
      Simulation& world = counters.world;
      auto& random = counters.random;
      for (int round = 0; round < 3; ++round) {
        world.run(random() % 120);
        const std::size_t one = random() % world.servers(), other = (one + 1) % world.servers();
        world.cut(one, other);
        // Some workers, not all, lose one of the two for a while: they ask the other to serve its keys.
        std::vector<std::pair<std::size_t, std::size_t>> cuts;
        for (std::size_t worker = 0; worker < workers; ++worker) {
          if (random() % 2) cuts.emplace_back(worker, random() % 2 ? one : other);
        }
        world.run(random() % 40);
        for (const auto& [worker, server] : cuts) world.cut_worker(worker, server);
        world.run(random() % 200);
        world.run_until([&] { return world.calm(); });
        for (const auto& [worker, server] : cuts) world.mend_worker(worker, server);
        world.run(random() % 60);
        if (random() % 2) world.mend();
        world.run_until([&] { return world.calm(); });
      }
      world.mend();
      world.run();
      counters.check();
      INFO(world.state());
      REQUIRE(world.is_replicated());
    }
  }
}

TEST_CASE("With three servers and more, keys have replicas again after a death, and the next death loses nothing") {
  for (const std::string consistency : {"async", "ssp:1", "bsp"}) {
    for (std::uint64_t seed = 1; seed <= testing::schedules(100); ++seed) {
      CAPTURE(consistency, seed);
      const std::uint32_t servers = 3 + static_cast<std::uint32_t>(seed % 2);
      Counters counters(consistency, servers, 9, seed);
      Simulation& world = counters.world;
      for (std::uint32_t death = 0; death + 1 < servers; ++death) {
        if (death != 0) {
          INFO(world.state());
          REQUIRE(world.run_until([&] { return world.calm() && world.is_replicated(); }));
        }
        world.run(counters.random() % 150);
        std::size_t dead = counters.random() % servers;
        while (!world.alive(dead)) dead = (dead + 1) % servers;
        world.kill(dead);
      }
      world.run();
      counters.check();
    }
  }
}
