// SPDX-License-Identifier: Apache-2.0
#include "parallel/parameter_shards.hpp"

#include "trireme/base/half.hpp"
#include "unit/parallel/ranks.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

namespace trireme::parallel {
namespace {

using trireme::testing::Complaints;
using trireme::testing::run_ranks;

/// Units of two tensors each, of sizes that divide by nothing; element e of parameter p is 1000 p + e mod 997.
struct ShardedModel {
  static constexpr std::size_t unit_count = 4;
  std::vector<std::vector<float>> values;
  std::vector<Parameter> parameters;
  std::vector<std::size_t> unit_of;
  BucketPlan plan;
  ShardPlan shards;

  ShardedModel(const std::vector<std::size_t>& counts, int ranks, bool with_memory)
      : unit_of(counts.size()), shards(BucketPlan{}, 1, false) {
    for (std::size_t p = 0; p < counts.size(); ++p) {
      values.emplace_back(counts[p]);
      for (std::size_t e = 0; e < counts[p]; ++e) values[p][e] = wanted(p, e);
      const TensorView value(with_memory ? values[p].data() : nullptr, counts[p], DType::f32);
      parameters.push_back({"p" + std::to_string(p), {static_cast<std::int64_t>(counts[p])}, value, value});
      unit_of[p] = p / 2;
    }
    for (std::size_t u = 0; u < counts.size() / 2; ++u) {  // a bucket per unit
      const std::vector<std::size_t> order{2 * u, 2 * u + 1};
      BucketPlan one = plan_buckets(parameters, Bytes{1u << 30}, Bytes{1u << 30}, order);
      one.buckets.front().begin_bytes = plan.size_bytes;
      plan.places.resize(counts.size());
      for (const std::size_t p : order) {
        plan.places[p] = one.places[p];
        plan.places[p].bucket = u;
        plan.places[p].begin_bytes += plan.size_bytes;
      }
      plan.buckets.push_back(one.buckets.front());
      plan.size_bytes += one.size_bytes;
    }
    shards = ShardPlan(plan, ranks, false);
  }

  static float wanted(std::size_t p, std::size_t e) { return static_cast<float>(1000 * p + e % 997); }

  ParameterShardsSetup setup(const Communicator& group) const {
    return {.group = group,
            .parameters = parameters,
            .plan = &plan,
            .shards = &shards,
            .unit_of = unit_of,
            .units = parameters.size() / 2};
  }
};

const std::vector<std::size_t> counts = {5000, 13, 9001, 4096, 1, 20000, 12289, 777};

bool is_whole(ParameterShards& shards, std::size_t p, float more = 0) {
  const auto value = shards.value(p).as<float>();
  if (value.size() != counts[p] || reinterpret_cast<std::uintptr_t>(value.data()) % 64 != 0) return false;
  for (std::size_t e = 0; e < value.size(); ++e)
    if (value[e] != ShardedModel::wanted(p, e) + more) return false;
  return true;
}

/// Forward and backward of a model whose first unit is used at both ends.
const std::vector<std::size_t> passes = {0, 1, 2, 3, 0, 3, 2, 1};

}  // namespace

TEST_CASE(
    "A unit is whole while it is held, on every rank, step after step, and updates of the parts are in the next one") {
  for (const int ranks : {1, 2, 3, 4, 8}) {
    Complaints complaints(ranks);
    run_ranks(ranks, [&](World& world) {
      const int rank = world.communicator().rank();
      const ShardedModel model(counts, ranks, rank % 2 == 0);
      ParameterShardsSetup setup = model.setup(world.communicator());
      setup.initial = [](std::size_t p, std::size_t first, TensorView part) {
        for (std::size_t e = 0; e < part.count; ++e) part.as<float>()[e] = ShardedModel::wanted(p, first + e);
      };
      ParameterShards shards(std::move(setup));
      for (int step = 0; step < 3; ++step) {
        for (const std::size_t unit : passes) {
          shards.acquire(unit);
          for (const std::size_t p : {2 * unit, 2 * unit + 1})
            complaints.expect(rank, is_whole(shards, p, static_cast<float>(step)), "parameter " + std::to_string(p));
          shards.release(unit);
        }
        for (std::size_t p = 0; p < counts.size(); ++p)
          for (float& value : shards.part(p).as<float>()) value += 1;
        shards.after_update();
      }
    });
    CAPTURE(ranks);
    REQUIRE(complaints.all() == "");
  }
}

TEST_CASE("Of whole units two at most have memory, the one in use and the next; the parts are a share of all") {
  constexpr int ranks = 4;
  Complaints complaints(ranks);
  run_ranks(ranks, [&](World& world) {
    const int rank = world.communicator().rank();
    const ShardedModel model(counts, ranks, true);
    ParameterShards shards(model.setup(world.communicator()));
    std::size_t largest = 0, all = 0;
    for (std::size_t u = 0; u < 4; ++u) largest = std::max(largest, counts[2 * u] + counts[2 * u + 1]);
    for (const std::size_t count : counts) all += count;
    for (int step = 0; step < 3; ++step) {
      for (const std::size_t unit : passes) {
        shards.acquire(unit);
        shards.release(unit);
      }
      shards.after_update();
    }
    const std::size_t padding = 64 * counts.size();
    complaints.expect(rank, shards.most_whole_bytes().value <= 2 * (4 * largest + padding),
                      std::to_string(shards.most_whole_bytes().value) + " bytes whole");
    const std::size_t blocks = 4 * 4096 * 4;  // an edge moves to the next block, in each of four units
    complaints.expect(rank, shards.part_bytes().value <= 4 * all / ranks + blocks + padding,
                      std::to_string(shards.part_bytes().value) + " bytes in parts");
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE(
    "The unit that came next the last time is under way while another is in use; the first step of all has none ahead") {
  constexpr int ranks = 2;
  Complaints complaints(ranks);
  run_ranks(ranks,
            [&](World& world) {
              const int rank = world.communicator().rank();
              Communicator communicator = world.communicator();
              const ShardedModel model(counts, ranks, true);
              ParameterShards shards(model.setup(communicator));
              const auto sent_by = [&](auto call) {
                const std::uint64_t before = communicator.payload_bytes_sent();
                call();
                communicator.barrier();
                return communicator.payload_bytes_sent() - before;
              };
              const std::uint64_t first = sent_by([&] {
                for (const std::size_t unit : passes) {
                  shards.acquire(unit);
                  shards.release(unit);
                }
                shards.after_update();
              });
              const std::uint64_t second = sent_by([&] {
                for (const std::size_t unit : passes) {
                  shards.acquire(unit);
                  shards.release(unit);
                }
                shards.after_update();
              });
              complaints.expect(rank, second == first, std::to_string(second) + " bytes, not " + std::to_string(first));
              shards.acquire(0);
              const std::uint64_t whole_of_two = shards.whole_bytes().value;
              complaints.expect(rank, whole_of_two >= 4 * (counts[0] + counts[1] + counts[2] + counts[3]),
                                "unit 1 is not ahead: " + std::to_string(whole_of_two));
              complaints.expect(rank, sent_by([&] {
                                        shards.release(0);
                                        shards.acquire(1);
                                        shards.release(1);
                                        shards.after_update();
                                      }) < first,
                                "it sends again what was ahead");
            },
            {.transport = "tcp"});
  REQUIRE(complaints.all() == "");
}

TEST_CASE("A unit that is used twice running is gathered once") {
  constexpr int ranks = 2;
  Complaints complaints(ranks);
  run_ranks(ranks,
            [&](World& world) {
              const int rank = world.communicator().rank();
              Communicator communicator = world.communicator();
              const ShardedModel model(counts, ranks, true);
              ParameterShards shards(model.setup(communicator));
              std::vector<std::uint64_t> sent;
              for (int step = 0; step < 3; ++step) {
                const std::uint64_t before = communicator.payload_bytes_sent();
                for (const std::size_t unit : {1, 2, 2, 1}) {
                  shards.acquire(unit);
                  shards.release(unit);
                }
                shards.after_update();
                sent.push_back(communicator.payload_bytes_sent() - before);
              }
              complaints.expect(rank, sent[1] < sent[0], "the second step sends as much as the first");
              complaints.expect(rank, sent[2] == sent[1], "the third step sends other bytes");
              complaints.expect(rank, is_whole((shards.acquire(2), shards), 5), "it is another's values");
              shards.release(2);
            },
            {.transport = "tcp"});
  REQUIRE(complaints.all() == "");
}

TEST_CASE("Other orders than the last are followed, and what was expected in vain is given back") {
  constexpr int ranks = 3;
  Complaints complaints(ranks);
  run_ranks(ranks, [&](World& world) {
    const int rank = world.communicator().rank();
    const ShardedModel model(counts, ranks, true);
    ParameterShards shards(model.setup(world.communicator()));
    for (const auto& order : {std::vector<std::size_t>{0, 1, 2}, {0, 2, 1}, {2, 0, 2, 0}, {3}, {0, 1, 2}}) {
      for (const std::size_t unit : order) {
        shards.acquire(unit);
        complaints.expect(rank, is_whole(shards, 2 * unit), "unit " + std::to_string(unit));
        shards.release(unit);
      }
      shards.after_update();
    }
    shards.acquire(0);
    shards.acquire(0);
    shards.release(0);
    complaints.expect(rank, is_whole(shards, 1), "what is held twice is gone after one release");
    shards.release(0);
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE("Misuse of units is refused, naming unit and parameter") {
  Complaints complaints(1);
  run_ranks(1, [&](World& world) {
    const ShardedModel model(counts, 1, true);
    ParameterShards shards(model.setup(world.communicator()));
    complaints.expect_refusal(0, "there is no unit 4 among 4", [&] { shards.acquire(4); });
    complaints.expect_refusal(0, "unit 1 is not held", [&] { shards.release(1); });
    complaints.expect_refusal(0, "'p2' is in unit 1, which is not held", [&] { shards.value(2); });
    complaints.expect_refusal(0, "there is no parameter 8 among 8", [&] { shards.value(8); });
    shards.acquire(3);
    complaints.expect_refusal(0, "while unit 3 is held", [&] { shards.after_update(); });
    const ShardedModel without(counts, 1, false);
    complaints.expect_refusal(0, "'p0' has no values", [&] { ParameterShards(without.setup(world.communicator())); });
  });
  REQUIRE(complaints.all() == "");
}

}  // namespace trireme::parallel
