// SPDX-License-Identifier: Apache-2.0
// Payloads that wait stay within the bound, and whatever comes first, all get through.
#include "desk.hpp"
#include "ps/credit.hpp"
#include "simulation.hpp"
#include "trireme/base/error.hpp"
#include "trireme/optim/lamb.hpp"
#include "trireme/optim/sgd.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace trireme;
using namespace trireme::ps;
using testing::Desk;
using testing::Simulation;

namespace {

std::shared_ptr<const KeyPlan> plan_of_sizes(std::initializer_list<std::int64_t> sizes,
                                             UpdateScope scope = UpdateScope::elements) {
  std::vector<TensorInfo> tensors;
  for (const std::int64_t size : sizes)
    tensors.push_back({.name = "t" + std::to_string(tensors.size()), .shape = {size}});
  return std::make_shared<const KeyPlan>(std::move(tensors),
                                         KeyPlanOptions{.partition_bytes = Bytes{16384}, .scope = scope});
}

}  // namespace

TEST_CASE("However adverse the order, waiting payloads stay within memory and every step ends") {
  struct Job {
    const char* consistency;
    bool updates, whole;
  };
  for (const Job& job : {Job{"bsp", false, false}, Job{"bsp", true, false}, Job{"async", true, false},
                         Job{"async", true, true}, Job{"ssp:1", true, false}}) {
    const UpdateScope scope = job.whole ? UpdateScope::sums : UpdateScope::elements;
    const auto plan = plan_of_sizes({30, 20, 7, 4096 + 5, 25, 10}, scope);
    const std::uint64_t largest = job.whole ? 4 * (4096 + 5) : 4 * 4096;
    const std::uint64_t needed = std::string(job.consistency) == "bsp" ? 4 * largest : largest;
    for (std::uint64_t seed = 1; seed <= testing::schedules(80); ++seed) {
      const std::uint64_t memory = needed + seed % 6 * 70;
      CAPTURE(job.consistency, job.updates, job.whole, seed, memory);
      Simulation::Options options{
          .plan = plan, .consistency = Consistency::parse(job.consistency), .workers = 4, .memory_bytes = memory};
      if (job.whole) {
        options.make_optimizer = [] { return std::make_unique<Lamb>(LambOptions{}); };
      } else if (job.updates) {
        options.make_optimizer = [] { return std::make_unique<Sgd>(SgdOptions{}); };
      }
      Simulation world(options, seed);
      // Some links are served only when nothing else is under way: the first ones, or the last.
      if (seed % 4 == 1) world.choose = [](std::size_t able) { return able - 1; };
      if (seed % 4 == 2) world.choose = [](std::size_t) { return std::size_t{0}; };
      for (std::uint32_t rank = 0; rank < 4; ++rank)
        world.add_worker({.rank = rank,
                          .steps = 5,
                          .initialises = job.updates,
                          .gradient = [&](std::uint32_t, Key k, std::uint64_t step) {
                            return (k + step) % 5 == 0 ? Payload{}
                                                       : Payload(plan->keys()[k].range.size() * 4, std::byte{});
                          }});
      world.run();
      INFO(world.state());
      REQUIRE(world.all_done());
      for (const auto& worker : world.workers()) CHECK(worker->failures().empty());
      CHECK(world.shard(0).most_waiting_bytes() <= memory);
      CHECK(world.shard(0).waiting_bytes() == 0);
      if (std::string(job.consistency) == "bsp") CHECK(world.shard(0).most_waiting_bytes() >= 3 * largest);
    }
  }
}

TEST_CASE(
    "Offers are granted in the order (step, priority), the whole sum at a time; what was not granted is refused") {
  const auto plan = plan_of_sizes({100, 100, 100});
  Desk desk({.plan = plan, .workers = 2, .leaves = 2, .memory_bytes = 800});
  desk.join_all();
  CHECK(std::get<Welcome>(testing::first<Welcome>(desk.say(0, desk.join_of(0)), 1)->control).window_bytes == 0);
  const auto offer = [&](std::uint32_t rank, Key key) {
    return desk.say(rank, Offer{.key = key, .step = 1, .bytes = 400});
  };
  const auto granted = [](const std::vector<Outgoing>& out, ConnectionId to) {
    const auto* grant = testing::first<Grant>(out, to);
    return grant == nullptr ? -1 : static_cast<int>(std::get<Grant>(grant->control).key);
  };
  const auto push = [&](std::uint32_t rank, Key key) {
    return desk.say(rank, Push{.sequence = desk.next(), .key = key, .step = 1, .weight = 1}, Payload(400, std::byte{}));
  };
  CHECK(granted(offer(0, 2), 1) == 2);  // alone so far
  CHECK(granted(offer(0, 1), 1) == -1);
  CHECK(granted(offer(1, 0), 2) == -1);
  CHECK(granted(offer(1, 2), 2) == 2);  // of a sum that has begun
  CHECK(testing::failure(push(0, 0), 1) == "a push of 400 bytes was sent beyond the window, without a grant");
  push(0, 2);
  CHECK(desk.shard().waiting_bytes() == 400);
  const auto out = push(1, 2);
  CHECK(testing::first<Reduced>(out, 1) != nullptr);
  CHECK(desk.shard().waiting_bytes() == 0);
  CHECK(granted(out, 2) == 0);  // before key 1, which was offered sooner
  CHECK(granted(out, 1) == -1);
}

TEST_CASE("A sum that is complete without a backup worker keeps no room for the part that it was granted") {
  const auto plan = plan_of_sizes({100, 100});
  Desk desk({.plan = plan, .workers = 3, .backup_workers = 1, .leaves = 3, .memory_bytes = 1200});
  desk.join_all();
  const auto offer = [&](std::uint32_t rank, Key key) {
    return testing::first<Grant>(desk.say(rank, Offer{.key = key, .step = 1, .bytes = 400}), rank + 1) != nullptr;
  };
  const auto push = [&](std::uint32_t rank, Key key) {
    return desk.say(rank, Push{.sequence = desk.next(), .key = key, .step = 1, .weight = 1}, Payload(400, std::byte{}));
  };
  for (const std::uint32_t rank : {0u, 1u, 2u}) REQUIRE(offer(rank, 0));
  push(0, 0);
  REQUIRE(testing::first<Reduced>(push(1, 0), 1) != nullptr);
  for (const std::uint32_t rank : {0u, 1u}) {
    CHECK(offer(rank, 1));
    CHECK(testing::failure(push(rank, 1), rank + 1) == "");
  }
  CHECK(testing::failure(push(2, 0), 3) == "");  // what was granted may come all the same
  CHECK(desk.shard().statistics().dropped == 1);
}

TEST_CASE("Room in the window is given back when a payload no longer waits") {
  const auto plan = plan_of_sizes({100});
  Desk desk({.plan = plan, .workers = 2, .leaves = 2, .memory_bytes = 4000});
  const auto out = desk.say(0, desk.join_of(0));
  CHECK(std::get<Welcome>(testing::first<Welcome>(out, 1)->control).window_bytes == 1000);
  desk.say(1, desk.join_of(1));
  CHECK(testing::first<Grant>(desk.say(0, Push{.sequence = 1, .step = 1, .weight = 1}, Payload(400, std::byte{})), 1) ==
        nullptr);
  const auto last = desk.say(1, Push{.sequence = 1, .step = 1, .weight = 1}, Payload(400, std::byte{}));
  for (const ConnectionId to : {1u, 2u}) {
    REQUIRE(testing::first<Grant>(last, to) != nullptr);
    CHECK(std::get<Grant>(testing::first<Grant>(last, to)->control).bytes == 400);
  }
  // A refusal gives it back too.
  const auto refused = desk.say(0, Push{.sequence = 9, .key = 77, .step = 1}, Payload(40, std::byte{}));
  CHECK(testing::failure(refused, 1) == "key 77 is none of loop 0 of server 0");
  CHECK(std::get<Grant>(testing::first<Grant>(refused, 1)->control).bytes == 40);
}

TEST_CASE("What was granted and comes to a server that serves it no more gives no window back that was not taken") {
  Credit credit(4000, 2, 400);
  REQUIRE(credit.welcome(0) == 1000);
  const Credit::Unit unit{.step = 1, .index = 7};
  // A count of what a worker may send unasked, as it keeps it itself.
  std::uint64_t window = 1000;
  const auto settle = [&] {
    std::uint64_t offers = 0;
    for (const Credit::Granted& each : credit.settle()) {
      window += each.bytes;
      offers += each.for_offer;
    }
    return offers;
  };
  const auto send = [&](std::uint32_t key, std::uint64_t bytes, bool granted, std::uint64_t step = 1) {
    if (!granted) window -= bytes;
    return credit.admit(0, key, step, bytes);
  };
  credit.offer(0, 7, unit, 800, false);
  credit.offer(0, 8, {.step = 1, .index = 8}, 800, false);
  REQUIRE(settle() == 2);
  // Sent before the worker heard of it.
  credit.forget_key(7);
  CHECK(send(7, 400, true) != nullptr);
  CHECK(settle() == 0);
  CHECK(window == 1000);
  // It is no push beyond the window either.
  auto kept = send(3, 900, false);
  REQUIRE(kept != nullptr);
  credit.forget_key(8);
  CHECK(send(8, 400, true) != nullptr);
  CHECK(settle() == 0);
  CHECK(window == 100);
  // All that the worker believes it may send is taken.
  auto rest = send(3, 100, false);
  CHECK(rest != nullptr);
  rest.reset();
  kept.reset();
  settle();
  CHECK(window == 1000);
  // No room stays behind for what came: two sums more than the pool are granted one after the other.
  for (std::uint32_t key = 10; key < 14; ++key) {
    credit.offer(0, key, {.step = 2, .index = key}, 800, false);
    CHECK(settle() == 1);
    send(key, 400, true, 2).reset();
    credit.close({.step = 2, .index = key});
  }
}

TEST_CASE("A worker's windows are what its servers gave and have given back, whoever was deposed meanwhile") {
  for (std::uint64_t seed = 1; seed <= testing::schedules(400); ++seed) {
    CAPTURE(seed);
    const auto plan = std::make_shared<const KeyPlan>(
        std::vector<TensorInfo>{{.name = "a", .shape = {40}},
                                {.name = "b", .shape = {40}},
                                {.name = "c", .shape = {9}},
                                {.name = "d", .shape = {40}},
                                {.name = "e", .shape = {40}},
                                {.name = "f", .shape = {9}}},
        KeyPlanOptions{
            .servers = 2 + static_cast<std::uint32_t>(seed % 2), .partition_bytes = Bytes{16384}, .replicas = true});
    const std::uint64_t memory = 2 * (3 * 160 + seed % 7 * 50);
    Simulation world({.plan = plan,
                      .consistency = Consistency::parse("bsp"),
                      .workers = 3,
                      .memory_bytes = memory,
                      .replicas = true},
                     seed);
    for (std::uint32_t rank = 0; rank < 3; ++rank)
      world.add_worker({.rank = rank, .steps = 6, .gradient = [&](std::uint32_t, Key k, std::uint64_t) {
                          return Payload(plan->keys()[k].range.size() * 4, std::byte{});
                        }});
    auto& random = world.random();
    REQUIRE(world.run_until([&] { return world.is_replicated(); }));
    for (int round = 0; round < 3; ++round) {
      world.run(random() % 150);
      const std::size_t one = random() % world.servers(), other = (one + 1) % world.servers();
      world.cut(one, other);
      const std::size_t worker = random() % 3;
      world.run(random() % 40);
      world.cut_worker(worker, one);
      world.run(random() % 200);
      world.run_until([&] { return world.calm(); });
      world.mend_worker(worker, one);
      world.mend();
      world.run_until([&] { return world.calm(); });
    }
    world.run();
    INFO(world.state());
    REQUIRE(world.all_done());
    for (const auto& worker : world.workers()) {
      for (const std::string& failure : worker->failures()) REQUIRE(failure.find("window") == std::string::npos);
      for (const auto& [server, window] : worker->windows()) {
        INFO("worker " << worker->rank() << ", server " << server);
        REQUIRE(window == worker->first_windows().at(server));
      }
    }
  }
}

TEST_CASE("Memory that cannot hold one sum is refused, and what else does not go together") {
  const auto plan = plan_of_sizes({100});
  const auto refusal = [&](ShardOptions options) {
    try {
      Shard shard(options);
    } catch (const Exception& failure) {
      return failure.error().message;
    }
    return std::string("none");
  };
  const auto sgd = [] { return std::make_unique<Sgd>(SgdOptions{}); };
  CHECK(refusal({.plan = plan, .workers = 2, .leaves = 2, .memory_bytes = 799}) ==
        "a parameter server's options: 799 bytes for payloads that wait are too few: 800 are needed (smaller "
        "partitions need fewer)");
  CHECK(refusal({}) == "a parameter server's options: there is no plan of keys");
  CHECK(refusal({.plan = plan, .workers = 3, .leaves = 2}) ==
        "a parameter server's options: 2 leaves are too few, or too many, for 3 workers");
  CHECK(refusal({.plan = plan, .workers = 2, .backup_workers = 2, .leaves = 2}) ==
        "a parameter server's options: 2 of 2 workers cannot be backup workers: one must be waited for");
  CHECK(refusal({.plan = plan, .consistency = Consistency::parse("async")}) ==
        "a parameter server's options: 'async' needs an optimizer on the servers");
  CHECK(refusal({.plan = plan, .consistency = Consistency::parse("async"), .make_optimizer = sgd}) == "none");
}
