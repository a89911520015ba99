// SPDX-License-Identifier: Apache-2.0
#include "simulated_world.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <functional>
#include <random>

using namespace trireme;
using namespace trireme::rendezvous;
using trireme::rendezvous::testing::milliseconds;
using trireme::rendezvous::testing::SimulatedWorld;

namespace {

constexpr int world_size = 6;

/// One thing that happens to a world; `rank` is whose channel brings it, -1 for the launcher.
struct Event {
  int rank;
  std::function<void(SimulatedWorld&)> happen;
};

struct Scenario {
  std::map<int, Status> answers;
  std::vector<Event> events;
};

Scenario random_scenario(std::mt19937& random) {
  auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  Scenario scenario;
  for (int rank = 0; rank < world_size; ++rank) {
    if (below(8) == 0) continue;  // stopped
    Status status{
        rank, static_cast<std::uint64_t>(below(2)), static_cast<std::uint64_t>(10 + below(3)), below(3) != 0, {}, {}};
    status.operation_name = SimulatedWorld::name(status.operation);
    for (int peer = 0; status.in_operation && peer < world_size; ++peer) {
      if (peer != rank && below(3) == 0) status.waiting_for.push_back(peer);
    }
    scenario.answers[rank] = status;
  }
  for (int rank = 0; rank < world_size; ++rank) {
    if (below(2) == 0) {
      constexpr ErrorCode codes[] = {ErrorCode::mismatch, ErrorCode::peer_lost, ErrorCode::timeout,
                                     ErrorCode::timeout,  ErrorCode::closed,    ErrorCode::system};
      ErrorCode code = codes[below(6)];
      auto operation = static_cast<std::uint64_t>(10 + below(3));
      int member = below(world_size + 1) - 1;
      auto communicator = static_cast<std::uint64_t>(below(2));
      scenario.events.push_back(
          {rank, [=](SimulatedWorld& world) { world.report(rank, code, operation, member, communicator); }});
    }
    switch (below(6)) {
      case 0:
        scenario.events.push_back({rank, [=](SimulatedWorld& world) { world.lose(rank); }});
        scenario.events.push_back({-1, [=](SimulatedWorld& world) { world.lose(rank, "killed by signal 9"); }});
        break;
      case 1: scenario.events.push_back({rank, [=](SimulatedWorld& world) { world.coordinator.left(rank); }}); break;
      default: break;
    }
  }
  return scenario;
}

/// Any order in which every rank's own events stay in theirs.
std::vector<Event> shuffled(std::vector<Event> events, std::mt19937& random) {
  std::vector<int> owners;
  std::map<int, std::vector<Event>> of_rank;
  for (Event& event : events) {
    owners.push_back(event.rank);
    of_rank[event.rank].push_back(std::move(event));
  }
  std::shuffle(owners.begin(), owners.end(), random);
  std::map<int, std::size_t> next;
  std::vector<Event> order;
  for (int owner : owners) order.push_back(of_rank[owner][next[owner]++]);
  return order;
}

}  // namespace

TEST_CASE("Whatever happens, there is one verdict, and it does not depend on the order of arrival") {
  unsigned seed = GENERATE(range(0u, 300u));
  std::mt19937 random(seed);
  Scenario scenario = random_scenario(random);
  bool fails = false;
  std::optional<Cause> first;
  for (int order = 0; order < 12; ++order) {
    SimulatedWorld world(world_size);
    // Answers come when the collection is nearly over, whoever asked first: only arrival of events differs.
    auto start = world.now;
    for (const Event& event : shuffled(scenario.events, random)) {
      event.happen(world);
      world.now += milliseconds(1);
    }
    world.now = start + milliseconds(150);
    for (const auto& [rank, status] : scenario.answers) {
      if (world.queries.count(rank) != 0) world.coordinator.answered(status);
    }
    Cause verdict = world.verdict();
    fails = !world.published.empty();
    INFO("seed " << seed << ", order " << order << ": " << verdict.message);
    REQUIRE(world.published.size() <= 1);
    for (const auto& [rank, times] : world.queries) REQUIRE(times == 1);
    if (!fails) {
      REQUIRE_FALSE(first);
      continue;
    }
    if (!first) first = verdict;
    REQUIRE(verdict.code != ErrorCode::none);
    REQUIRE_FALSE(verdict.message.empty());
    REQUIRE(verdict.member == first->member);
    REQUIRE(verdict.code == first->code);
    REQUIRE(verdict.operation == first->operation);
    REQUIRE(verdict.communicator == first->communicator);
  }
  bool must_fail =
      std::any_of(scenario.events.begin(), scenario.events.end(), [](const Event& event) { return event.rank < 0; });
  if (must_fail) REQUIRE(fails);
}
