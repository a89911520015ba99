// SPDX-License-Identifier: Apache-2.0
// What was acknowledged survives the death of any one server, and nothing is applied twice.
#include "desk.hpp"
#include "simulation.hpp"
#include "trireme/optim/adam.hpp"
#include "trireme/optim/lamb.hpp"
#include "trireme/optim/sgd.hpp"

#include <catch2/catch.hpp>

#include <random>

using namespace trireme;
using namespace trireme::ps;
using testing::Desk;
using testing::Simulation;

namespace {

struct Job {
  std::string consistency;
  std::string rule;  ///< empty: sums only
};

std::function<std::unique_ptr<Optimizer>()> maker(const std::string& rule) {
  if (rule.empty()) return {};
  if (rule == "lamb") return [] { return std::make_unique<Lamb>(LambOptions{.learning_rate = 0.5}); };
  if (rule == "adam") return [] { return std::make_unique<Adam>(AdamOptions{.learning_rate = 0.5}); };
  return [] { return std::make_unique<Sgd>(SgdOptions{.learning_rate = 1.0}); };
}

std::shared_ptr<const KeyPlan> plan_for(const Job& job, std::uint32_t servers) {
  return std::make_shared<const KeyPlan>(
      std::vector<TensorInfo>{
          {.name = "a", .shape = {4096 + 2}}, {.name = "b", .shape = {2}}, {.name = "c", .shape = {3}}},
      KeyPlanOptions{.servers = servers,
                     .partition_bytes = Bytes{16384},
                     .scope = job.rule == "lamb" ? UpdateScope::sums : UpdateScope::elements,
                     .replicas = true});
}

/// Numbers of which sums are exact, other ones for each.
Payload gradient_of(const KeyPlan& plan, std::uint32_t rank, Key key, std::uint64_t step, bool counts) {
  std::vector<float> gradient(plan.keys()[key].range.size());
  for (std::size_t i = 0; i < gradient.size(); ++i)
    gradient[i] = counts ? -1.0f : static_cast<float>((7 * rank + 3 * key + 5 * step + i) % 11) - 4.0f;
  return testing::payload_of(gradient);
}

const std::vector<Job> jobs{{"async", "sgd"}, {"ssp:1", "sgd"}, {"async", "lamb"}, {"bsp", ""},
                            {"bsp", "sgd"},   {"bsp", "adam"},  {"bsp", "lamb"}};

/// The values that a worker reads, or of sums alone its means, at the end.
std::map<Key, Payload> outcome(const Job& job, std::uint64_t seed, int deaths, std::uint64_t steps) {
  std::mt19937_64 random(seed);
  const std::uint32_t servers = 2 + static_cast<std::uint32_t>(seed % 2);
  const auto plan = plan_for(job, servers);
  const bool counts = job.rule == "sgd";
  Simulation world({.plan = plan,
                    .consistency = Consistency::parse(job.consistency),
                    .workers = 3,
                    .make_optimizer = maker(job.rule),
                    .memory_bytes = seed % 3 ? 0u : 6 * 4098 * 4u + 100,
                    .replicas = true},
                   seed);
  for (std::uint32_t rank = 0; rank < 3; ++rank)
    world.add_worker(
        {.rank = rank,
         .steps = steps,
         .initialises = !job.rule.empty(),
         .gradient = [&](std::uint32_t r, Key k, std::uint64_t step) { return gradient_of(*plan, r, k, step, counts); },
         .learning_rate = counts ? 1.0 : 0.5});
  std::size_t dead = random() % servers;
  for (int death = 0; death < deaths; ++death) {
    world.run(20 + random() % 250);
    world.kill(dead);
    if (death + 1 == deaths) break;
    // Two at a time are more than one replica survives: all have noticed, and the next has what it must have, before it comes.
    while (!world.calm()) world.run(1);
    world.run(random() % 60);
    world.restart(dead);
    while (!world.calm()) world.run(1);
    dead = (dead + 1) % servers;
  }
  world.run();
  INFO(world.state());
  REQUIRE(world.all_done());
  if (job.consistency != "bsp") {
    // A value is the number of pushes in it (of plain descent), and so is its version.
    const std::size_t reader = 2;
    for (Key k = 0; k < plan->keys().size(); ++k) {
      const auto [version, values] = world.read(reader, k);
      CHECK(version == 3 * steps);
      if (counts) CHECK(testing::elements_of<float>(values).back() == static_cast<float>(3 * steps));
    }
  }
  for (const auto& worker : world.workers()) {
    for (Key k = 0; k < plan->keys().size(); ++k) REQUIRE(worker->acknowledged().at(k) == steps);
  }
  return job.rule.empty() ? world.workers()[0]->means() : world.workers()[0]->values();
}

}  // namespace

TEST_CASE("A server dies at any point: what bulk-synchronous workers end with has the bits of a run without death") {
  for (const Job& job : jobs) {
    if (job.consistency != "bsp") continue;
    for (std::uint64_t seed = 1; seed <= testing::schedules(80); ++seed) {
      CAPTURE(job.consistency, job.rule, seed);
      REQUIRE((outcome(job, seed, 1, 5) == outcome(job, seed, 0, 5)));
    }
  }
}

TEST_CASE("A server dies at any point: no acknowledged push is lost, none is applied twice") {
  for (const Job& job : jobs) {
    if (job.consistency == "bsp") continue;
    for (std::uint64_t seed = 1; seed <= testing::schedules(200); ++seed) {
      CAPTURE(job.consistency, job.rule, seed);
      const auto values = outcome(job, seed, 1, 5);
      if (job.rule != "sgd") continue;
      for (const auto& [key, payload] : values) {
        // The last values that rank 0 read: all of its own pushes, and of others what had come by then, once.
        CHECK(testing::elements_of<float>(payload).back() >= 5.0f);
        CHECK(testing::elements_of<float>(payload).back() <= 15.0f);
      }
    }
  }
}

TEST_CASE("Servers die one after the other, each once the one before is back: nothing acknowledged is lost") {
  for (const Job& job : jobs) {
    for (std::uint64_t seed = 1; seed <= testing::schedules(40); ++seed) {
      CAPTURE(job.consistency, job.rule, seed);
      const auto values = outcome(job, seed, 3, 9);
      if (job.consistency == "bsp") REQUIRE((values == outcome(job, seed, 0, 9)));
    }
  }
}

TEST_CASE("A replica holds what its primary holds, bit for bit") {
  for (const Job& job : jobs) {
    if (job.rule.empty()) continue;
    CAPTURE(job.consistency, job.rule);
    const auto plan = plan_for(job, 2);
    Simulation world({.plan = plan,
                      .consistency = Consistency::parse(job.consistency),
                      .workers = 3,
                      .make_optimizer = maker(job.rule),
                      .staleness_aware = true,
                      .replicas = true},
                     17);
    for (std::uint32_t rank = 0; rank < 3; ++rank)
      world.add_worker({.rank = rank,
                        .steps = 5,
                        .initialises = true,
                        .gradient = [&](std::uint32_t r, Key k,
                                        std::uint64_t step) { return gradient_of(*plan, r, k, step, false); },
                        .learning_rate = 0.5});
    world.run();
    REQUIRE(world.all_done());
    const Join reader{.worker = WorkerId{2} << 32 | 9,
                      .rank = 2,
                      .workers = 3,
                      .leaves = 8,
                      .plan_fingerprint = plan->fingerprint(),
                      .consistency = job.consistency};
    const auto read = [&](std::size_t server, Key key) {
      std::vector<Outgoing> out;
      world.shard(server).handle(901, {ReadState{.request = 1, .key = key}}, out);
      const auto* state = testing::first<ps::State>(out, 901);
      REQUIRE(state != nullptr);
      return std::pair(std::get<ps::State>(state->control).version, *state->payload);
    };
    for (const std::size_t server : {0u, 1u}) {
      std::vector<Outgoing> out;
      world.shard(server).handle(901, {reader}, out);
    }
    std::map<Key, std::pair<std::uint64_t, Payload>> of_primary;
    for (Key k = 0; k < plan->keys().size(); ++k) of_primary[k] = read(plan->keys()[k].server, k);
    for (const std::uint32_t server : {0u, 1u}) {
      std::vector<Outgoing> out;
      world.shard(1 - server).handle(901, {TakeOver{.server = server, .view = 1}}, out);
      CHECK(testing::failure(out, 901) == "");
    }
    for (Key k = 0; k < plan->keys().size(); ++k) {
      CHECK(of_primary[k].first == (job.consistency == "bsp" ? 5 : 15));
      REQUIRE((read(plan->keys()[k].replica, k) == of_primary[k]));
    }
  }
}

TEST_CASE("What is pushed to a server is acknowledged, and given out, when its replica has it") {
  const Job job{"async", "sgd"};
  const auto plan = plan_for(job, 2);
  const auto key = static_cast<Key>(plan->keys_of(1).first);
  const std::uint32_t home = plan->keys()[key].server;
  const auto options = [&](std::uint32_t server) {
    return ShardOptions{
        .server = server, .plan = plan, .consistency = Consistency::parse("async"), .make_optimizer = maker("sgd")};
  };
  Desk primary(options(home)), replica(options(1 - home));
  primary.join_all();
  replica.join_all();
  std::vector<Outgoing> out;
  primary.shard().set_replica(50, out);
  REQUIRE(out.size() == 1);
  // A server that is new asks first; meanwhile workers wait.
  CHECK(primary.say(0, Initialise{.sequence = 1, .key = key}, Payload(8, std::byte{})).empty());
  const auto transfers = replica.say_on(60, out.front().control);
  out.clear();
  for (const Outgoing& each : transfers) {
    const auto more = primary.say_on(50, each.control, each.payload ? *each.payload : Payload{});
    out.insert(out.end(), more.begin(), more.end());
  }
  const auto forward = [&](const std::vector<Outgoing>& from) {
    std::vector<Outgoing> answers;
    for (const Outgoing& each : from) {
      if (each.to != 50) continue;
      const auto said = replica.say_on(60, each.control, each.payload ? *each.payload : Payload{});
      answers.insert(answers.end(), said.begin(), said.end());
    }
    return answers;
  };
  const auto back = [&](const std::vector<Outgoing>& from) {
    std::vector<Outgoing> answers;
    for (const Outgoing& each : from) {
      const auto said = primary.say_on(50, each.control);
      answers.insert(answers.end(), said.begin(), said.end());
    }
    return answers;
  };
  CHECK(testing::first<Acknowledged>(out, 1) == nullptr);
  out = back(forward(out));
  CHECK(testing::first<Acknowledged>(out, 1) != nullptr);

  const Payload one = gradient_of(*plan, 0, key, 1, true);
  out = primary.say(0, Push{.sequence = 2, .key = key, .step = 1, .learning_rate = 1.0}, one);
  REQUIRE(testing::first<Replicate>(out, 50) != nullptr);
  CHECK(testing::first<Acknowledged>(out, 1) == nullptr);
  CHECK(testing::first<Values>(primary.say(0, Pull{.request = 3, .key = key, .step = 1}), 1) == nullptr);
  CHECK(primary.shard().waiting_bytes() == one.size());
  // Repeated, it is not acknowledged sooner.
  const auto again = primary.say(0, Push{.sequence = 2, .key = key, .step = 1, .learning_rate = 1.0}, one);
  CHECK(again.empty());
  const auto said = back(forward(out));
  CHECK(testing::first<Acknowledged>(said, 1) != nullptr);
  CHECK(testing::elements_of<float>(*testing::first<Values>(said, 1)->payload) == std::vector<float>{1, 1});
  CHECK(primary.shard().waiting_bytes() == 0);

  SECTION("A replica that is gone is not waited for") {
    out = primary.say(0, Push{.sequence = 4, .key = key, .step = 2, .learning_rate = 1.0}, one);
    CHECK(testing::first<Acknowledged>(out, 1) == nullptr);
    out.clear();
    primary.shard().replica_lost(out);
    CHECK(testing::first<Acknowledged>(out, 1) != nullptr);
    out = primary.say(0, Push{.sequence = 5, .key = key, .step = 3, .learning_rate = 1.0}, one);
    CHECK(testing::first<Acknowledged>(out, 1) != nullptr);
  }
  SECTION("A takeover in a view that a server has begun by coming back is refused, and the refusal names both") {
    replica.say_on(61, Fetch{.server = home, .incarnation = 2});
    out = replica.say(0, TakeOver{.server = home, .view = 1});
    REQUIRE(testing::first<Failed>(out, 1) != nullptr);
    const auto& refused = std::get<Failed>(testing::first<Failed>(out, 1)->control);
    CHECK(refused.code == ErrorCode::closed);
    CHECK(refused.server == home);
    CHECK(refused.view == 1);
    CHECK(testing::failure(replica.say(0, TakeOver{.server = home, .view = refused.view + 1}), 1) == "");
  }
  SECTION("A server of which the replica has taken over acknowledges and gives out nothing any more") {
    CHECK(testing::failure(replica.say(0, Pull{.request = 1, .key = key}), 1) ==
          "key " + std::to_string(key) + " is served by server " + std::to_string(home) + ", not by server " +
              std::to_string(1 - home) + " (view 0)");
    CHECK(testing::failure(replica.say(0, TakeOver{.server = home, .view = 1}), 1) == "");
    CHECK(testing::failure(replica.say(0, TakeOver{.server = home, .view = 1}), 1) == "");  // another worker's
    out = primary.say(0, Push{.sequence = 4, .key = key, .step = 2, .learning_rate = 1.0}, one);
    const auto refused = forward(out);
    REQUIRE(testing::first<Failed>(refused, 60) != nullptr);
    CHECK(std::get<Failed>(testing::first<Failed>(refused, 60)->control).code == ErrorCode::closed);
    out = back(refused);
    CHECK(testing::first<Acknowledged>(out, 1) == nullptr);
    CHECK(testing::failure(out, 1).starts_with("keys of server " + std::to_string(home) + " are served elsewhere"));
    out = primary.say(0, Push{.sequence = 4, .key = key, .step = 2, .learning_rate = 1.0}, one);
    REQUIRE(testing::first<Failed>(out, 1) != nullptr);
    const auto& closed = std::get<Failed>(testing::first<Failed>(out, 1)->control);
    CHECK(closed.code == ErrorCode::closed);
    CHECK(closed.server == home);  // and no other keys
    // The replica goes on with what it had, and knows what was handled.
    replica.say(0, Push{.sequence = 2, .key = key, .step = 1, .learning_rate = 1.0}, one);
    replica.say(0, Push{.sequence = 4, .key = key, .step = 2, .learning_rate = 1.0}, one);
    out = replica.say(0, Pull{.request = 1, .key = key, .step = 2});
    CHECK(testing::elements_of<float>(*testing::first<Values>(out, 1)->payload) == std::vector<float>{2, 2});
    CHECK(replica.shard().statistics().duplicates == 1);
  }
}
