// SPDX-License-Identifier: Apache-2.0
// What one server has of a key is more than a message of a worker may be: it comes to another whole, as bytes do.
#include "desk.hpp"
#include "ps/wire.hpp"

#include <catch2/catch.hpp>

#include <memory>
#include <numeric>

using namespace trireme;
using namespace trireme::ps;
using testing::Desk;

TEST_CASE("Contributions whose rows are more than one message holds reach a replica, and make the same sum there") {
  // Rows one after the other are a byte each on the wire: a push is just below what a worker may send.
  constexpr std::uint32_t rows = (1u << 20) - 60, workers = 4;
  const auto plan = std::make_shared<const KeyPlan>(
      std::vector<TensorInfo>{{.name = "table", .shape = {rows, 1}, .row_sparse = true}},
      KeyPlanOptions{.servers = 2, .partition_bytes = Bytes{std::uint64_t{1} << 30}, .replicas = true});
  REQUIRE(plan->keys().size() == 1);
  const std::uint32_t home = plan->keys()[0].server;
  const auto options = [&](std::uint32_t server) {
    return ShardOptions{
        .server = server, .incarnation = 5, .plan = plan, .workers = workers, .leaves = workers, .has_views = true};
  };
  Desk primary(options(home)), replica(options(1 - home));
  std::vector<Outgoing> to_workers;
  std::size_t messages = 0, longest = 0;
  const auto settle = [&](std::vector<Outgoing> said) {
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
        if (each.to != 50 && each.to != 60) {
          to_workers.push_back(each);
          continue;
        }
        goes_on = true;
        const auto bytes = encode(each.control);
        longest = std::max(longest, bytes.size());
        messages += std::holds_alternative<Transfer>(each.control);
        const Payload payload = each.payload ? *each.payload : Payload{};
        Control read = decode(bytes, payload.size(), most_server_control_bytes);
        const auto answers =
            (each.to == 50 ? replica : primary).say_on(each.to == 50 ? 60 : 50, std::move(read), payload);
        next.insert(next.end(), answers.begin(), answers.end());
      }
      said = std::move(next);
    }
  };
  std::vector<Outgoing> none;
  for (Desk* desk : {&primary, &replica}) desk->shard().serve_alone(none);
  settle({});
  for (Desk* desk : {&primary, &replica}) desk->join_all();
  const auto push = [&](Desk& to, std::uint32_t rank) {
    std::vector<std::uint32_t> all(rows);
    std::iota(all.begin(), all.end(), 0u);
    return to.say(rank, Push{.sequence = 1, .step = 1, .weight = 1.0, .sparse = true, .rows = std::move(all)},
                  testing::payload_of(std::vector<float>(rows, static_cast<float>(rank))));
  };
  for (std::uint32_t rank = 0; rank < 2; ++rank) push(primary, rank);
  std::vector<Outgoing> out;
  primary.shard().set_replica(50, out);
  settle(std::move(out));
  CHECK(messages == 3);  // two pushes, and the end
  CHECK(primary.shard().served_groups() == std::pair(1u, 1u));
  // A decision holds what a worker said and more.
  settle(push(primary, 2));
  CHECK(longest > most_control_bytes);
  CHECK(testing::first<Acknowledged>(to_workers, 3) != nullptr);

  settle(replica.say(0, TakeOver{.server = home, .lost = home}));
  to_workers.clear();
  settle(push(replica, 3));
  const Outgoing* const sum = testing::first<Reduced>(to_workers, 4);
  REQUIRE(sum != nullptr);
  CHECK(std::get<Reduced>(sum->control).total_weight == 4.0);
  CHECK(testing::elements_of<float>(*sum->payload) == std::vector<float>(rows, 1.5f));
}
