// SPDX-License-Identifier: Apache-2.0
// Units of parameters, and the door through which models find room for gradients.
#include "parallel/unit_plan.hpp"
#include "ranks.hpp"
#include "trireme/optim/sgd.hpp"
#include "zero_field.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using namespace trireme::literals;
using namespace trireme::testing;

namespace {

using Lists = std::vector<std::vector<std::size_t>>;

Lists lists_of(const parallel::UnitPlan& plan) {
  Lists lists;
  for (const auto& bucket : plan.buckets.buckets) lists.push_back(bucket.parameters);
  return lists;
}

}  // namespace

TEST_CASE("a unit is a bucket however large, one for each accumulator type, where its last parameter stands") {
  const std::vector<MixedParameter> list{
      {{1000}}, {{2000}}, {{3}, DType::f64, DType::f64}, {{4}, DType::bf16, DType::bf16}, {{5}}, {{6}}};
  const MixedField model(list);
  const auto order = parallel::reverse_order(std::vector<bool>(list.size(), false));
  const std::vector<std::vector<std::string>> taken{{"parameter1", "parameter0"}, {"*5"}, {"parameter5"}};
  const std::vector<std::vector<std::string>> two{{"parameter0", "parameter1"}, {"*5", "*2"}};
  const auto plan = parallel::plan_units(model.parameters(), two, Bytes{64}, Bytes{1024}, order);
  REQUIRE(lists_of(plan) == Lists{{4}, {3}, {5}, {2}, {1, 0}});
  REQUIRE(plan.units == 4);
  REQUIRE(plan.unit_of == std::vector<std::size_t>{0, 0, 1, 3, 2, 1});
  const auto none = parallel::plan_units(model.parameters(), {}, Bytes{64}, Bytes{1024}, order);
  REQUIRE(none.units == none.buckets.buckets.size());
  REQUIRE(lists_of(none) == Lists{{5}, {4, 3}, {2}, {1}, {0}});
  REQUIRE_THROWS_AS(parallel::plan_units(model.parameters(), taken, Bytes{64}, Bytes{1024}, order), Exception);
}

TEST_CASE("access has values that are whole, units, and room for gradients in each shard") {
  Complaints complaints(2);
  run_ranks(2, [&](World& world) {
    const int rank = world.rank();
    const std::vector<MixedParameter> list{{{5000}}, {{30}}, {{40}, DType::bf16, DType::bf16}};
    MixedField model(list, false);
    Sgd optimizer({.learning_rate = 0.1});
    DataParallel data_parallel(world.communicator(), model.parameters(),
                               {.zero_stage = 2, .units = {{"parameter0"}, {"parameter1", "parameter2"}}});
    ParameterAccess& access = data_parallel.access();
    complaints.expect(rank, access.units() == 2 && access.unit_of(0) == 0 && access.unit_of(2) == 1, "units");
    complaints.expect(rank, access.value(2).data == model.parameters()[2].value.data, "values");
    access.acquire(1);
    access.release(1);
    complaints.expect_refusal(rank, "acquire(): there is no unit 2 among 2", [&] { access.acquire(2); });
    complaints.expect_refusal(rank, "release(): there is no unit 7 among 2", [&] { access.release(7); });
    complaints.expect_refusal(rank, "value(): there is no parameter 3 among 3", [&] { access.value(3); });
    complaints.expect_refusal(rank, "unit_of(): there is no parameter 3 among 3", [&] { access.unit_of(3); });
    complaints.expect_refusal(rank, "gradient(): no shard is under way", [&] { access.gradient(0); });
    DistributedSampler sampler({.count = 8, .global_batch = 4});
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) {
        complaints.expect_refusal(rank, "gradient(): there is no parameter 3 among 3", [&] { access.gradient(3); });
        complaints.expect_refusal(rank, "ready(): 'parameter2' has no gradient", [&] { shard.ready(2); });
        for (std::size_t p = 3; p-- > 0;) {
          const TensorView to = access.gradient(p);
          complaints.expect(rank, to.dtype == DType::f32 && to.count == list[p].count(), "room");
          complaints.expect(rank, access.gradient(p).data == to.data, "the same until it is ready");
          model.backward(p, shard.samples(), 1.0, to);
          shard.ready(p);
          complaints.expect_refusal(rank, "was ready before in this shard", [&] { access.gradient(p); });
        }
      }
      step.reduce();
      step.apply(optimizer);
    }
    data_parallel.rebind(world.communicator());
    complaints.expect(rank, &access == &data_parallel.access(), "the same object");
    for (const int stage : {0, 1}) {
      MixedField other(list);
      DataParallel none(world.communicator(), other.parameters(), {.zero_stage = stage});
      complaints.expect_refusal(rank, "access(): zero_stage is " + std::to_string(stage), [&] { none.access(); });
    }
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE("gradients that become ready against the order of the buckets hold more of them, and keep the bits") {
  std::string ends[2];
  for (const bool against : {false, true}) {
    run_ranks(2, [&](World& world) {
      const std::vector<MixedParameter> list(6, {{5000}});
      MixedField model(list, false);
      Sgd optimizer({.learning_rate = 0.1});
      DataParallel data_parallel(world.communicator(), model.parameters(), {.bucket_bytes = 64_B, .zero_stage = 2});
      const auto buckets = data_parallel.buckets();
      DistributedSampler sampler({.count = 12, .global_batch = 4});
      for (auto& step : data_parallel.steps(sampler)) {
        for (auto& shard : step.shards()) {
          for (std::size_t k = 0; k < list.size(); ++k) {
            const std::size_t p = against ? k : list.size() - 1 - k;
            model.backward(p, shard.samples(), 1.0, data_parallel.access().gradient(p));
            shard.ready(p);
          }
        }
        step.reduce();
        step.apply(optimizer);
      }
      if (data_parallel.buckets() != buckets) throw std::logic_error("buckets are others");
      if (world.rank() == 0) ends[against ? 1 : 0] = model.bytes();
    });
  }
  REQUIRE((ends[0] == ends[1]));
}
