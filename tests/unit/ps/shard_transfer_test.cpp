// SPDX-License-Identifier: Apache-2.0
// What one server has of a key is more than a message of a worker may be: it comes to another whole, as bytes do.
#include "desk.hpp"
#include "ps/shard_layout.hpp"
#include "ps/wire.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <memory>
#include <numeric>

using namespace trireme;
using namespace trireme::ps;
using testing::Desk;

namespace {

constexpr std::uint32_t workers = 4;

/// Two servers of one key, as bytes go between them: whoever serves it, and who is to hold what that one has.
class TwoServers {
 public:
  explicit TwoServers(std::shared_ptr<const KeyPlan> plan)
      : home_(plan->keys().at(0).server), primary(options(plan, home_)), replica(options(plan, 1 - home_)) {
    std::vector<Outgoing> none;
    for (Desk* desk : {&primary, &replica}) desk->shard().serve_alone(none);
    settle({});
    for (Desk* desk : {&primary, &replica}) desk->join_all();
  }
  void link() {
    std::vector<Outgoing> out;
    primary.shard().set_replica(to_replica, out);
    settle(std::move(out));
  }
  void take_over() { settle(replica.say(0, TakeOver{.server = home_, .lost = home_})); }
  /// Until nothing is to be decided or said between them.
  void settle(std::vector<Outgoing> said) {
    for (bool goes_on = true; goes_on;) {
      goes_on = false;
      for (Desk* desk : {&primary, &replica}) {
        for (const View& view : desk->shard().take_proposals()) {
          desk->shard().decided(view, said);
          goes_on = true;
        }
      }
      std::vector<Outgoing> next;
      for (const Outgoing& each : said) {
        if (each.to != to_replica && each.to != to_primary) {
          to_workers.push_back(each);
          continue;
        }
        goes_on = true;
        const auto bytes = encode(each.control);
        const Payload payload = each.payload ? *each.payload : Payload{};
        longest_control = std::max(longest_control, bytes.size());
        longest_payload = std::max(longest_payload, payload.size());
        transfers += std::holds_alternative<Transfer>(each.control);
        Control read = decode(bytes, payload.size(), most_server_control_bytes);
        const bool goes_there = each.to == to_replica;
        const auto answers =
            (goes_there ? replica : primary).say_on(goes_there ? to_primary : to_replica, std::move(read), payload);
        next.insert(next.end(), answers.begin(), answers.end());
      }
      said = std::move(next);
    }
  }

 private:
  static constexpr ConnectionId to_replica = 50, to_primary = 60;
  static ShardOptions options(const std::shared_ptr<const KeyPlan>& plan, std::uint32_t server) {
    return {.server = server, .incarnation = 5, .plan = plan, .workers = workers, .leaves = workers, .has_views = true};
  }
  const std::uint32_t home_;

 public:
  Desk primary, replica;
  std::vector<Outgoing> to_workers;
  std::size_t transfers = 0, longest_control = 0, longest_payload = 0;
};

}  // namespace

TEST_CASE("Contributions whose rows are more than one message holds reach a replica, and make the same sum there") {
  // Rows one after the other are a byte each on the wire: a push is just below what a worker may send.
  constexpr std::uint32_t rows = (1u << 20) - 60;
  const auto plan = std::make_shared<const KeyPlan>(
      std::vector<TensorInfo>{{.name = "table", .shape = {rows, 1}, .row_sparse = true}},
      KeyPlanOptions{.servers = 2, .partition_bytes = Bytes{std::uint64_t{1} << 30}, .replicas = true});
  REQUIRE(plan->keys().size() == 1);
  TwoServers servers(plan);
  const auto push = [&](Desk& to, std::uint32_t rank) {
    std::vector<std::uint32_t> all(rows);
    std::iota(all.begin(), all.end(), 0u);
    return to.say(rank, Push{.sequence = 1, .step = 1, .weight = 1.0, .sparse = true, .rows = std::move(all)},
                  testing::payload_of(std::vector<float>(rows, static_cast<float>(rank))));
  };
  for (std::uint32_t rank = 0; rank < 2; ++rank) push(servers.primary, rank);
  servers.link();
  CHECK(servers.transfers == 3);  // two pushes, and the end
  CHECK(servers.primary.shard().served_groups() == std::pair(1u, 1u));
  // A decision holds what a worker said and more.
  servers.settle(push(servers.primary, 2));
  CHECK(servers.longest_control > most_control_bytes);
  CHECK(testing::first<Acknowledged>(servers.to_workers, 3) != nullptr);

  servers.take_over();
  servers.to_workers.clear();
  servers.settle(push(servers.replica, 3));
  const Outgoing* const sum = testing::first<Reduced>(servers.to_workers, 4);
  REQUIRE(sum != nullptr);
  CHECK(std::get<Reduced>(sum->control).total_weight == 4.0);
  CHECK(testing::elements_of<float>(*sum->payload) == std::vector<float>(rows, 1.5f));
}

TEST_CASE(
    "However many steps of contributions wait for one worker, no message to a new replica is longer than another") {
  constexpr std::uint64_t steps = 60, count = 4096;
  const auto plan = std::make_shared<const KeyPlan>(std::vector<TensorInfo>{{.name = "a", .shape = {count}}},
                                                    KeyPlanOptions{.servers = 2, .replicas = true});
  TwoServers servers(plan);
  std::uint64_t sequence = 0;
  const auto push = [&](Desk& to, std::uint32_t rank, std::uint64_t step) {
    return to.say(rank, Push{.sequence = ++sequence, .step = step, .weight = 1.0},
                  testing::payload_of(std::vector<float>(count, static_cast<float>(rank * step))));
  };
  for (std::uint64_t step = 1; step <= steps; ++step) {
    for (std::uint32_t rank = 0; rank + 1 < workers; ++rank) push(servers.primary, rank, step);
  }
  servers.link();
  CHECK(servers.primary.shard().served_groups() == std::pair(1u, 1u));
  CHECK(servers.longest_payload <= most_payload_bytes(*plan));
  CHECK(servers.transfers > 3 * steps * count * sizeof(float) / most_payload_bytes(*plan));

  servers.take_over();
  for (std::uint64_t step = 1; step <= steps; ++step) {
    servers.to_workers.clear();
    servers.settle(push(servers.replica, 3, step));
    const Outgoing* const sum = testing::first<Reduced>(servers.to_workers, 4);
    REQUIRE(sum != nullptr);
    CHECK(std::get<Reduced>(sum->control).step == step);
    CHECK(testing::elements_of<float>(*sum->payload) == std::vector<float>(count, 1.5f * static_cast<float>(step)));
  }
}
