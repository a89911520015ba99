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
  REQUIRE(world.run_until([&] { return world.is_settled(); }));
  for (int death = 0; death < deaths; ++death) {
    world.run(20 + random() % 250);
    world.kill(dead);
    if (death + 1 == deaths) break;
    // Two at a time are more than one replica survives: all have noticed, and keys have replicas again, before the next dies.
    REQUIRE(world.run_until([&] { return world.calm(); }));
    world.run(random() % 60);
    world.restart(dead);
    REQUIRE(world.run_until([&] { return world.calm() && world.is_replicated(); }));
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
      Shard& replica = world.shard(1 - server);
      replica.replica_lost(out);  // or what it says waits until the other has all of it
      replica.handle(901, {TakeOver{.server = server, .lost = server}}, out);
      for (const View& view : replica.take_proposals()) replica.decided(view, out);
      CHECK(testing::failure(out, 901) == "");
    }
    for (Key k = 0; k < plan->keys().size(); ++k) {
      CHECK(of_primary[k].first == (job.consistency == "bsp" ? 5 : 15));
      REQUIRE((read(plan->keys()[k].replica, k) == of_primary[k]));
    }
  }
}

namespace {

/// Two servers of one key, spoken to by hand, with the connection between them and what has been decided.
struct Pair {
  const Job job{"async", "sgd"};
  const std::shared_ptr<const KeyPlan> plan = plan_for(job, 2);
  const Key key = static_cast<Key>(plan->keys_of(1).first);
  const std::uint32_t home = plan->keys()[key].server;
  Desk primary{options(home)}, replica{options(1 - home)};
  std::map<std::pair<std::uint32_t, std::uint64_t>, View> decided;

  Pair() {
    for (Desk* desk : {&primary, &replica}) desk->join_all();
    std::vector<Outgoing> none;
    replica.shard().serve_alone(none);  // nobody has replicas of its own keys
  }
  ShardOptions options(std::uint32_t server) const {
    return {.server = server,
            .incarnation = 7 + server,
            .plan = plan,
            .consistency = Consistency::parse("async"),
            .make_optimizer = maker("sgd"),
            .has_views = true};
  }
  /// What both say to workers once all that they ask is decided, and all that they say to each other has come.
  std::vector<Outgoing> settle(std::vector<Outgoing> said) {
    std::vector<Outgoing> to_workers;
    for (bool goes_on = true; goes_on;) {
      goes_on = false;
      for (Desk* desk : {&primary, &replica}) {
        for (const View& view : desk->shard().take_proposals()) {
          desk->shard().decided(decided.try_emplace({view.server, view.number}, view).first->second, said);
          goes_on = true;
        }
      }
      std::vector<Outgoing> next;
      for (const Outgoing& each : said) {
        if (each.to != 50 && each.to != 60) {
          to_workers.push_back(each);
          continue;
        }
        Desk& to = each.to == 50 ? replica : primary;
        const auto answers = to.say_on(each.to == 50 ? 60 : 50, each.control, each.payload ? *each.payload : Payload{});
        next.insert(next.end(), answers.begin(), answers.end());
        goes_on = true;
      }
      said = std::move(next);
    }
    return to_workers;
  }
  std::vector<Outgoing> link() {
    std::vector<Outgoing> out;
    primary.shard().set_replica(50, out);
    return settle(std::move(out));
  }
  Payload one() const { return gradient_of(*plan, 0, key, 1, true); }
  std::vector<Outgoing> push(Desk& to, std::uint64_t sequence, std::uint64_t step) const {
    return to.say(0, Push{.sequence = sequence, .key = key, .step = step, .learning_rate = 1.0}, one());
  }
};

}  // namespace

TEST_CASE("What is pushed to a server is acknowledged, and given out, when its replica has it") {
  Pair pair;
  Desk &primary = pair.primary, &replica = pair.replica;
  const Key key = pair.key;
  // Who was there before is to be known first; meanwhile workers wait.
  CHECK(primary.say(0, Initialise{.sequence = 1, .key = key}, Payload(8, std::byte{})).empty());
  CHECK(!primary.shard().is_settled());
  CHECK(testing::first<Acknowledged>(pair.settle({}), 1) == nullptr);
  CHECK(testing::first<Acknowledged>(pair.link(), 1) != nullptr);
  CHECK(primary.shard().is_settled());
  auto out = pair.settle({});
  CHECK(primary.shard().served_groups() == std::pair(1u, 1u));

  out = pair.push(primary, 2, 1);
  REQUIRE(testing::first<Replicate>(out, 50) != nullptr);
  CHECK(testing::first<Acknowledged>(out, 1) == nullptr);
  CHECK(testing::first<Values>(primary.say(0, Pull{.request = 3, .key = key, .step = 1}), 1) == nullptr);
  CHECK(primary.shard().waiting_bytes() == pair.one().size());
  // Repeated, it is not acknowledged sooner.
  CHECK(pair.push(primary, 2, 1).empty());
  out = pair.settle(out);
  CHECK(testing::first<Acknowledged>(out, 1) != nullptr);
  CHECK(testing::elements_of<float>(*testing::first<Values>(out, 1)->payload) == std::vector<float>{1, 1});
  CHECK(primary.shard().waiting_bytes() == 0);

  SECTION("A replica that is gone is waited for until it is decided that it is none any more") {
    CHECK(testing::first<Acknowledged>(pair.push(primary, 4, 2), 1) == nullptr);
    out.clear();
    primary.shard().replica_lost(out);
    CHECK(testing::first<Acknowledged>(out, 1) == nullptr);
    CHECK(testing::first<Acknowledged>(pair.push(primary, 5, 3), 1) == nullptr);
    // Nor is given out what it has: it may be another's to say by now.
    CHECK(testing::first<Values>(primary.say(0, Pull{.request = 4, .key = key, .step = 1}), 1) == nullptr);
    out = pair.settle({});
    CHECK(testing::first<Acknowledged>(out, 1) != nullptr);
    CHECK(testing::first<Values>(out, 1) != nullptr);
    CHECK(testing::first<Acknowledged>(pair.push(primary, 6, 4), 1) != nullptr);
    // And that one is not asked in vain: it says who serves.
    out = pair.settle(replica.say(0, TakeOver{.server = pair.home, .lost = pair.home}));
    REQUIRE(testing::first<Failed>(out, 1) != nullptr);
    const auto& refused = std::get<Failed>(testing::first<Failed>(out, 1)->control);
    CHECK(refused.code == ErrorCode::closed);
    CHECK(refused.server == pair.home);
    CHECK_FALSE(refused.ask.has_value());  // but whom the worker does not reach
    out = pair.settle(replica.say(0, TakeOver{.server = pair.home}));
    CHECK(std::get<Failed>(testing::first<Failed>(out, 1)->control).ask == pair.home);
  }
  SECTION("A server of which the replica has taken over acknowledges and gives out nothing any more") {
    CHECK(testing::failure(replica.say(0, Pull{.request = 1, .key = key}), 1) ==
          "key " + std::to_string(key) + " is not served by server " + std::to_string(1 - pair.home) + " (view 2)");
    out = pair.push(primary, 4, 2);
    // The replica has been asked to serve, and is, before that comes.
    auto said = replica.say(0, TakeOver{.server = pair.home, .lost = pair.home});
    for (const View& view : replica.shard().take_proposals()) {
      pair.decided.try_emplace({view.server, view.number}, view);
      replica.shard().decided(view, said);
    }
    CHECK(testing::failure(said, 1) == "");
    CHECK(testing::failure(replica.say(0, TakeOver{.server = pair.home}), 1) == "");  // another worker's
    said.insert(said.end(), out.begin(), out.end());
    out = pair.settle(said);
    CHECK(testing::first<Acknowledged>(out, 1) == nullptr);
    CHECK(testing::failure(out, 1) == "keys of server " + std::to_string(pair.home) + " are served elsewhere");
    CHECK(std::get<Failed>(testing::first<Failed>(out, 1)->control).ask == 1 - pair.home);
    out = pair.push(primary, 4, 2);
    REQUIRE(testing::first<Failed>(out, 1) != nullptr);
    const auto& closed = std::get<Failed>(testing::first<Failed>(out, 1)->control);
    CHECK(closed.code == ErrorCode::closed);
    CHECK(closed.server == pair.home);  // and no other keys
    // The replica goes on with what it had, and knows what was handled.
    pair.push(replica, 2, 1);
    pair.push(replica, 4, 2);
    out = replica.say(0, Pull{.request = 1, .key = key, .step = 2});
    CHECK(testing::elements_of<float>(*testing::first<Values>(out, 1)->payload) == std::vector<float>{2, 2});
    CHECK(replica.shard().statistics().duplicates == 1);
  }
  SECTION("A process that comes back does not serve what an earlier one of it served, and says who may") {
    Desk second([&] {
      ShardOptions options = pair.options(pair.home);
      options.incarnation = 99;
      return options;
    }());
    CHECK(second.say(0, Pull{.request = 1, .key = key}).empty());  // not before it knows
    second.say(0, second.join_of(0));
    out.clear();
    for (int round = 0; round < 10; ++round) {
      for (const View& view : second.shard().take_proposals())
        second.shard().decided(pair.decided.try_emplace({view.server, view.number}, view).first->second, out);
    }
    CHECK(second.shard().is_settled());
    out = second.say(0, Pull{.request = 2, .key = key});
    REQUIRE(testing::first<Failed>(out, 1) != nullptr);
    CHECK(std::get<Failed>(testing::first<Failed>(out, 1)->control).ask == 1 - pair.home);
  }
  SECTION("A process that comes back where an earlier one was alone says that what it held is lost") {
    out.clear();
    primary.shard().replica_lost(out);
    pair.settle(std::move(out));
    Desk second([&] {
      ShardOptions options = pair.options(pair.home);
      options.incarnation = 99;
      return options;
    }());
    second.say(0, second.join_of(0));
    std::vector<Outgoing> none;
    for (int round = 0; round < 10; ++round) {
      for (const View& view : second.shard().take_proposals())
        second.shard().decided(pair.decided.try_emplace({view.server, view.number}, view).first->second, none);
    }
    CHECK(testing::failure(second.say(0, Pull{.request = 2, .key = key}), 1) ==
          "an earlier process of server " + std::to_string(pair.home) +
              " has ended while its keys had no replica: what they held is lost");
  }
}

TEST_CASE("Messages between servers that name one that does not exist are refused") {
  Pair pair;
  pair.primary.say(0, Initialise{.sequence = 1, .key = pair.key}, Payload(8, std::byte{}));
  pair.settle({});
  pair.link();
  const auto pushed = pair.push(pair.primary, 2, 1);
  REQUIRE(testing::first<Replicate>(pushed, 50) != nullptr);
  const auto& decision = std::get<Replicate>(testing::first<Replicate>(pushed, 50)->control);
  const auto refusal = [](Desk& desk, ConnectionId from, const Control& control) {
    const auto out = desk.say_on(from, control);
    const auto* failed = testing::first<Failed>(out, from);
    return failed != nullptr && std::get<Failed>(failed->control).code == ErrorCode::corrupt
               ? testing::failure(out, from)
               : std::string("none");
  };
  const std::string expected = "server 9 is named, of 2 servers";
  CHECK(refusal(pair.replica, 60, Transfer{.server = pair.home, .link = 99, .primary = 9, .last = true, .view = 99}) ==
        expected);
  View view{.server = pair.home, .number = 99, .primary = {.server = 9}};
  CHECK(refusal(pair.replica, 60, Membership{view}) == expected);
  view.primary.server = pair.home;
  view.replica = Holder{.server = 9};
  CHECK(refusal(pair.replica, 60, Membership{view}) == expected);
  CHECK(refusal(
            pair.primary, 50,
            ReplicaAcknowledged{
                .server = pair.home, .view = decision.view, .link = decision.link, .order = decision.order, .by = 9}) ==
        expected);
}

TEST_CASE("A transfer that is not taken is refused by the server whose keys it was of, also where it names no key") {
  Pair pair;
  const std::uint32_t other = 1 - pair.plan->keys()[0].server;
  Desk& desk = other == pair.home ? pair.replica : pair.primary;
  pair.settle({});
  const auto out = desk.say_on(70, Transfer{.server = other, .primary = 1 - other, .last = true});
  REQUIRE(testing::first<Failed>(out, 70) != nullptr);
  const auto& failed = std::get<Failed>(testing::first<Failed>(out, 70)->control);
  CHECK(failed.code == ErrorCode::closed);
  CHECK(failed.server == other);
}

TEST_CASE("A server that ends before it has served anything is founded anew") {
  Pair pair;
  pair.settle({});
  Desk second([&] {
    ShardOptions options = pair.options(pair.home);
    options.incarnation = 99;
    return options;
  }());
  std::vector<Outgoing> out;
  for (int round = 0; round < 10; ++round) {
    for (const View& view : second.shard().take_proposals())
      second.shard().decided(pair.decided.try_emplace({view.server, view.number}, view).first->second, out);
  }
  second.join_all();
  CHECK(second.shard().is_settled());
  CHECK(testing::first<Acknowledged>(second.say(0, Initialise{.sequence = 1, .key = pair.key}, Payload(8, std::byte{})),
                                     1) != nullptr);
}
