// SPDX-License-Identifier: Apache-2.0
// What a step is when ranks own parts: gradients, state, row-sparse parameters, rules that see whole tensors, other ranks.
#include "parallel/data_parallel_settings.hpp"
#include "ranks.hpp"
#include "row_field.hpp"
#include "trireme/optim/adafactor.hpp"
#include "trireme/optim/lamb.hpp"
#include "trireme/optim/sgd.hpp"
#include "zero_field.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using namespace trireme::literals;
using namespace trireme::testing;

namespace {

const std::vector<std::size_t> owned_counts{20000, 3, 0, 9000, 4096};

/// Whether `part` is elements `owned` of `whole`.
bool is_part(std::span<const float> part, std::span<const float> whole, layout::Interval owned) {
  return part.size() == owned.size() &&
         std::equal(part.begin(), part.end(), whole.begin() + static_cast<std::ptrdiff_t>(owned.begin));
}

}  // namespace

TEST_CASE("every element has one owner, whose gradient is stage 0's, and who alone keeps state of it") {
  const int ranks = GENERATE(1, 2, 3, 4);
  const int stage = GENERATE(1, 2);
  Complaints complaints(ranks);
  run_ranks(ranks, [&](World& world) {
    Field<float> model(owned_counts), whole_model(owned_counts);
    Sgd optimizer({.learning_rate = 0.1, .momentum = 0.9});
    DataParallel whole(world.communicator(), whole_model.parameters(), {.bucket_bytes = 64_KiB, .logical_shards = 4});
    DataParallel shared(world.communicator(), model.parameters(),
                        {.bucket_bytes = 64_KiB, .logical_shards = 4, .zero_stage = stage});
    DistributedSampler sampler({.count = 8, .global_batch = 8}), same_sampler = sampler;
    std::vector<std::vector<float>> gradients;
    for (auto& step : whole.steps(sampler)) {
      for (auto& shard : step.shards()) whole_model.backward(shard.samples(), [&](std::size_t p) { shard.ready(p); });
      step.reduce();
      for (const TensorView& each : step.gradients())
        gradients.emplace_back(each.as<float>().begin(), each.as<float>().end());
    }
    for (auto& step : shared.steps(same_sampler)) {
      for (auto& shard : step.shards()) model.backward(shard.samples(), [&](std::size_t p) { shard.ready(p); });
      step.reduce();
      const auto parts = step.gradients();
      for (std::size_t p = 0; p < owned_counts.size(); ++p) {
        complaints.expect(world.rank(), is_part(parts[p].as<float>(), gradients[p], shared.owned(p)), "gradient");
        complaints.expect(world.rank(), shared.owned("parameter" + std::to_string(p)) == shared.owned(p), "by name");
        complaints.expect(world.rank(), whole.owned(p) == layout::Interval{0, owned_counts[p]}, "stage 0 owns all");
        std::vector<std::int64_t> owned{static_cast<std::int64_t>(shared.owned(p).size())};
        world.communicator().all_reduce(std::span(owned));
        complaints.expect(world.rank(), owned[0] == static_cast<std::int64_t>(owned_counts[p]), "one owner each");
      }
      step.apply(optimizer);
    }
    for (std::size_t p = 0; p < owned_counts.size(); ++p) {
      const auto& state = optimizer.states().at("parameter" + std::to_string(p));
      complaints.expect(world.rank(), state.steps == 1, "steps of " + std::to_string(p));
      complaints.expect(world.rank(), state.tensors[0].count == shared.owned(p).size(), "state of what is owned");
    }
    complaints.expect_refusal(world.rank(), "owned(): there is no parameter 5 among 5", [&] { shared.owned(5); });
    complaints.expect_refusal(world.rank(), "owned(): there is no parameter 'other'", [&] { shared.owned("other"); });
  });
  CAPTURE(ranks, stage);
  REQUIRE(complaints.all() == "");
}

TEST_CASE("a rule that sees whole tensors is refused where one is cut, by every rank, and goes on with whole ones") {
  const std::vector<MixedParameter> list{{{100, 101}}, {{5}}, {{4000, 2}}};
  const MakeOptimizer make = [] {
    return std::make_unique<Adafactor>(AdafactorOptions{.learning_rate = 0.05, .weight_decay = 0.1});
  };
  Complaints complaints(3);
  run_ranks(3, [&](World& world) {
    Field<float> model({10100, 5, 8000});
    Adafactor optimizer({.learning_rate = 0.05});
    DataParallel data_parallel(world.communicator(), model.parameters(), {.zero_stage = 1});
    DistributedSampler sampler({.count = 6, .global_batch = 6});
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) model.backward(shard.samples(), [&](std::size_t p) { shard.ready(p); });
      step.reduce();
      complaints.expect_refusal(world.rank(), "set DataParallelOptions::zero_whole_tensors",
                                [&] { step.apply(optimizer); });
      complaints.expect(world.rank(), step.apply(*make_decaying_adamw()) == ApplyOutcome::applied, "another rule");
    }
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE("row-sparse parameters are updated whole by every rank, beside parts, with stage 0's bits") {
  const std::vector<RowField::Table> tables{{"table", {40, 7}, 9}, {"dense", {9001}, 1}, {"other", {300}, 20}};
  const auto train = [&](int ranks, int stage, std::vector<std::string>& ends) {
    run_ranks(ranks, [&](World& world) {
      RowField model(tables, DType::f32, DType::f32);
      Lamb optimizer({.learning_rate = 0.02, .weight_decay = 0.1});
      DataParallel data_parallel(
          world.communicator(), model.parameters(),
          {.bucket_bytes = 16_KiB, .logical_shards = 4, .zero_stage = stage, .row_sparse = {"table", "other"}});
      if (!(data_parallel.owned(0) == layout::Interval{0, 280})) throw std::logic_error("not whole");
      DistributedSampler sampler({.count = 24, .global_batch = 8});
      for (auto& step : data_parallel.steps(sampler)) {
        for (auto& shard : step.shards()) {
          for (std::size_t p = tables.size(); p-- > 0;) {
            if (stage == 2) {
              auto list = data_parallel.parameters();
              list[p].gradient = data_parallel.access().gradient(p);
              model.use_gradients(list);
            }
            const auto rows = model.backward(p, shard.samples(), p == 1 ? 0.0 : 1e9);
            p == 1 ? shard.ready(p) : shard.ready_rows(p, rows);
          }
        }
        step.reduce();
        step.apply(optimizer, {.clip_norm = 0.5});
      }
      ends[static_cast<std::size_t>(world.rank())] = model.bytes();
    });
  };
  std::vector<std::string> expected(1);
  train(1, 0, expected);
  for (const int ranks : {1, 2, 3}) {
    for (const int stage : {1, 2}) {
      std::vector<std::string> ends(static_cast<std::size_t>(ranks));
      train(ranks, stage, ends);
      CAPTURE(ranks, stage);
      for (const std::string& end : ends) REQUIRE((end == expected.front()));
    }
  }
}

TEST_CASE("on other ranks other elements are owned: kept state is refused by name, and without it training goes on") {
  const int stage = GENERATE(1, 2);
  Complaints complaints(4);
  run_ranks(4, [&](World& world) {
    Field<float> model(owned_counts);
    Sgd optimizer({.learning_rate = 0.1, .momentum = 0.9});
    DataParallel data_parallel(world.communicator(), model.parameters(),
                               {.bucket_bytes = 64_KiB, .logical_shards = 4, .zero_stage = stage});
    DistributedSampler sampler({.count = 16, .global_batch = 8});
    const auto pass = [&](Step& step) {
      for (auto& shard : step.shards()) model.backward(shard.samples(), [&](std::size_t p) { shard.ready(p); });
      return step.reduce();
    };
    for (auto& step : data_parallel.steps(sampler)) {
      pass(step);
      step.apply(optimizer);
    }
    const layout::Interval before = data_parallel.owned(0);
    auto pair = world.communicator().split(world.rank() / 2, world.rank());
    data_parallel.rebind(*pair);
    const bool moved = !(data_parallel.owned(0) == before);
    complaints.expect(world.rank(), moved, "the first parameter is owned otherwise");
    for (auto& step : data_parallel.steps(sampler)) {
      pass(step);
      complaints.expect_refusal(world.rank(), "parameter 'parameter", [&] { step.apply(optimizer); });
      break;
    }
    optimizer.forget();
    for (auto& step : data_parallel.steps(sampler)) {
      pass(step);
      complaints.expect(world.rank(), step.apply(optimizer) == ApplyOutcome::applied, "goes on");
    }
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE("a step of weight 0 is empty at every stage, and votes and requests are heard") {
  const int stage = GENERATE(1, 2);
  const auto assignment = GENERATE(LeafAssignment::block, LeafAssignment::cyclic);
  Complaints complaints(2);
  run_ranks(2, [&](World& world) {
    Field<float> model(owned_counts);
    const std::string before = model.bytes();
    Sgd optimizer({.learning_rate = 0.1});
    DataParallel data_parallel(
        world.communicator(), model.parameters(),
        {.bucket_bytes = 64_KiB, .logical_shards = 4, .zero_stage = stage, .leaf_assignment = assignment});
    DistributedSampler sampler({.count = 24, .global_batch = 8});
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) {
        if (step.index() == 0) shard.weight(0.0);
        model.backward(shard.samples(), [&](std::size_t p) { shard.ready(p); });
      }
      if (world.rank() == 1 && step.index() == 1) data_parallel.request_checkpoint();
      if (world.rank() == 1 && step.index() == 2) data_parallel.request_stop();
      const StepOutcome outcome = step.reduce();
      complaints.expect(world.rank(), step.checkpoint_requested() == (step.index() == 1), "checkpoint");
      complaints.expect(world.rank(), outcome == (step.index() == 2 ? StepOutcome::stop : StepOutcome::ready), "stop");
      const ApplyOutcome applied = step.apply(optimizer, {.clip_norm = 1.0});
      complaints.expect(world.rank(), applied == (step.index() == 0 ? ApplyOutcome::empty : ApplyOutcome::applied),
                        "applied");
      complaints.expect(world.rank(), (model.bytes() == before) == (step.index() == 0), "changed or not");
    }
  });
  CAPTURE(stage, static_cast<int>(assignment));
  REQUIRE(complaints.all() == "");
}

TEST_CASE("a loop that was left in the midst of a step goes on at every stage") {
  const int stage = GENERATE(1, 2);
  const auto assignment = GENERATE(LeafAssignment::block, LeafAssignment::cyclic);
  std::string ends[2];
  run_ranks(2, [&](World& world) {
    Field<float> model(owned_counts);
    Sgd optimizer({.learning_rate = 0.1});
    DataParallel data_parallel(
        world.communicator(), model.parameters(),
        {.bucket_bytes = 64_KiB, .logical_shards = 4, .zero_stage = stage, .leaf_assignment = assignment});
    DistributedSampler sampler({.count = 16, .global_batch = 8});
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) {
        model.backward(4, shard.samples());
        shard.ready(4);
        break;
      }
      break;
    }
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) model.backward(shard.samples(), [&](std::size_t p) { shard.ready(p); });
      step.reduce();
      step.apply(optimizer);
    }
    ends[world.rank()] = model.bytes();
  });
  REQUIRE((ends[0] == ends[1]));
}

TEST_CASE("sharding that cannot be is refused by name") {
  const auto refused = [](ErrorCode code, const std::string& part, int ranks, const DataParallelOptions& options) {
    const auto thrown = run_ranks_collecting(ranks, [&](World& world) {
      Field<float> model({5, 6});
      const DataParallel data_parallel(world.communicator(), model.parameters(), options);
    });
    for (const auto& each : thrown) {
      const Error error = error_of(each);
      CAPTURE(part);
      REQUIRE_THAT(error.message, Catch::Contains(part));
      REQUIRE(error.code == code);
    }
  };
  const auto invalid = ErrorCode::invalid_argument;
  refused(invalid, "zero_stage is 4; stages are 0 to 3", 1, {.zero_stage = 4});
  refused(invalid, "zero_stage is -1", 1, {.zero_stage = -1});
  refused(invalid, "shard_group is 2, which does not divide the 3 ranks", 3, {.zero_stage = 1, .shard_group = 2});
  refused(invalid, "shard_group is -1", 2, {.zero_stage = 1, .shard_group = -1});
  refused(invalid, "takes a power of two of ranks, and there are 3", 3, {.leaf_assignment = LeafAssignment::cyclic});
  refused(ErrorCode::unsupported, "leaf_assignment is cyclic, with row_sparse", 2,
          {.leaf_assignment = LeafAssignment::cyclic, .row_sparse = {"parameter0"}});
  refused(invalid, "zero_stage is 2, where buckets have memory only while", 2,
          {.zero_stage = 2, .gradients_as_bucket_views = true});
  refused(invalid, "units: no parameter is left for unit 1 {'parameter0', 'layer*'}", 2,
          {.zero_stage = 2, .units = {{"parameter*"}, {"parameter0", "layer*"}}});
  for (const DataParallelOptions& options :
       {DataParallelOptions{.zero_stage = 1}, DataParallelOptions{.leaf_assignment = LeafAssignment::cyclic}}) {
    REQUIRE_THROWS_WITH(parallel::check_sharding(options, 2, true), Catch::Contains("in device memory"));
    REQUIRE_NOTHROW(parallel::check_sharding(options, 2, false));
  }
}

TEST_CASE("ranks whose stages, groups, assignments or units differ are told so") {
  const auto refused = [](const std::string& part, const DataParallelOptions& zeros, const DataParallelOptions& ones) {
    const auto thrown = run_ranks_collecting(2, [&](World& world) {
      Field<float> model({5, 6});
      const DataParallel data_parallel(world.communicator(), model.parameters(), world.rank() == 0 ? zeros : ones);
    });
    for (const auto& each : thrown) {
      const Error error = error_of(each);
      REQUIRE_THAT(error.message, Catch::Contains(part));
      REQUIRE(error.code == ErrorCode::mismatch);
    }
  };
  refused("zero_stage 2", {.zero_stage = 1}, {.zero_stage = 2});
  refused("of whole tensors", {.zero_stage = 1}, {.zero_stage = 1, .zero_whole_tensors = true});
  refused("shard_group 1", {.zero_stage = 1, .shard_group = 2}, {.zero_stage = 1, .shard_group = 1});
  refused("leaf_assignment cyclic", {}, {.leaf_assignment = LeafAssignment::cyclic});
  refused("units {parameter1}", {.zero_stage = 2, .units = {{"parameter0"}}},
          {.zero_stage = 2, .units = {{"parameter1"}}});
}
