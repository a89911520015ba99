// SPDX-License-Identifier: Apache-2.0
// The step interface: what each call promises, and what is refused.
#include "field.hpp"
#include "ranks.hpp"
#include "trireme/optim/adamw.hpp"
#include "trireme/optim/sgd.hpp"
#include "trireme/parallel/data_parallel.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <optional>

using namespace trireme;
using namespace trireme::literals;
using namespace trireme::testing;

namespace {

const std::vector<std::size_t> step_counts{20, 3, 50};

void backward(Field<float>& model, Step& step) {
  for (auto& shard : step.shards()) model.backward(shard.samples(), [&](std::size_t p) { shard.ready(p); });
}

}  // namespace

TEST_CASE("misuse of a step is refused in one line, and the step can still be finished") {
  const int ranks = GENERATE(1, 2);
  Complaints complaints(ranks);
  run_ranks(ranks, [&](World& world) {
    const int rank = world.rank();
    Field<float> model(step_counts), correct(step_counts);
    Sgd sgd({.learning_rate = 0.1}), correct_sgd({.learning_rate = 0.1});
    DataParallel data_parallel(world.communicator(), model.parameters(), {.bucket_bytes = 64_B, .logical_shards = 2});
    DistributedSampler sampler({.count = 8, .global_batch = 4}), correct_sampler = sampler;
    for (auto& step : data_parallel.steps(sampler)) {
      complaints.expect_refusal(rank, "apply() comes after reduce()", [&] { step.apply(sgd); });
      complaints.expect_refusal(rank, "gradient() comes after reduce()", [&] { static_cast<void>(step.gradient(0)); });
      complaints.expect_refusal(rank, "gradient() comes after reduce()", [&] { static_cast<void>(step.gradients()); });
      complaints.expect_refusal(rank, "used() comes after reduce()", [&] { static_cast<void>(step.used(0)); });
      Shard* last = nullptr;
      for (auto& shard : step.shards()) {
        complaints.expect_refusal(rank, "there is no parameter 3 among 3", [&] { shard.ready(3); });
        model.backward(shard.samples(), [&](std::size_t p) { shard.ready(p); });
        complaints.expect_refusal(rank, "'parameter1' was ready before in this shard", [&] { shard.ready(1); });
        complaints.expect_refusal(rank, "weight() must come before the first ready()", [&] { shard.weight(1.0); });
        complaints.expect_refusal(rank, "shards() of a step can be iterated once", [&] { step.shards().begin(); });
        last = &shard;
      }
      complaints.expect_refusal(rank, "no shard is under way", [&] { last->ready(0); });
      complaints.expect_refusal(rank, "no shard is under way", [&] { last->weight(1.0); });
      complaints.expect_refusal(rank, "shards() of a step can be iterated once", [&] { step.shards().begin(); });
      complaints.expect(rank, step.reduce() == StepOutcome::ready, "outcome");
      complaints.expect_refusal(rank, "reduce() is called twice", [&] { step.reduce(); });
      complaints.expect_refusal(rank, "there is no parameter 3 among 3", [&] { static_cast<void>(step.gradient(3)); });
      complaints.expect_refusal(rank, "there is no parameter 4 among 3", [&] { static_cast<void>(step.used(4)); });
      complaints.expect_refusal(rank, "clip_norm", [&] { step.apply(sgd, {.clip_norm = -1.0}); });
      step.apply(sgd);
      complaints.expect_refusal(rank, "apply() is called twice", [&] { step.apply(sgd); });
    }
    DataParallel plain(world.communicator(), correct.parameters(), {.bucket_bytes = 64_B, .logical_shards = 2});
    for (auto& step : plain.steps(correct_sampler)) {
      backward(correct, step);
      step.reduce();
      step.apply(correct_sgd);
    }
    complaints.expect(rank, model.bytes() == correct.bytes(), "what was refused left a trace");
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE("one leaf in all: the gradient becomes the mean in place, with the bits of weighting and dividing") {
  Complaints complaints(1);
  run_ranks(1, [&](World& world) {
    std::vector<float> value(9), gradient(9), never(9, 5.0f), untouched(9);
    const std::vector<Parameter> parameters{{"ready", {9}, std::span<float>(value), std::span<float>(gradient)},
                                            {"never", {9}, std::span<float>(untouched), std::span<float>(never)}};
    DataParallel data_parallel(world.communicator(), parameters);
    DistributedSampler sampler({.count = 7, .global_batch = 7});
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) {
        for (std::size_t i = 0; i < gradient.size(); ++i) gradient[i] = 0.1f * static_cast<float>(i) + 0.01f;
        shard.ready(0);
      }
      step.reduce();
      complaints.expect(0, step.gradient(0).data == gradient.data(), "where the mean is");
      for (std::size_t i = 0; i < gradient.size(); ++i) {
        const float weighted = (0.1f * static_cast<float>(i) + 0.01f) * 7.0f;
        complaints.expect(0, gradient[i] == weighted / 7.0f, "element " + std::to_string(i));
      }
      complaints.expect(0, !step.used(1) && never == std::vector<float>(9, 5.0f),
                        "a gradient never ready is left alone");
      complaints.expect(0, step.gradient(1).as<float>()[3] == 0.0f, "and counts as zero");
    }
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE("the caller's communicator stays the caller's: it reduces a loss at any moment of a step") {
  Complaints complaints(3);
  run_ranks(3, [&](World& world) {
    auto communicator = world.communicator();
    Field<float> model(step_counts);
    DataParallel data_parallel(communicator, model.parameters(), {.bucket_bytes = 64_B});
    Sgd sgd({.learning_rate = 0.1});
    DistributedSampler sampler({.count = 60, .global_batch = 6});
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) {
        model.backward(shard.samples(), [&](std::size_t p) {
          shard.ready(p);
          if (static_cast<int>(p) != 1) return;
          double loss = 1.0;
          communicator.all_reduce(std::span(&loss, 1));
          complaints.expect(world.rank(), loss == 3.0, "the loss in the middle of backward");
        });
      }
      double loss = 2.0;
      communicator.all_reduce(std::span(&loss, 1));
      complaints.expect(world.rank(), loss == 6.0, "the loss before reduce()");
      step.reduce();
      step.apply(sgd);
    }
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE("rebind() goes on with other ranks, with the bits of the same leaves") {
  Complaints complaints(3);
  const auto train = [](DataParallel& data_parallel, Field<float>& model, DistributedSampler& sampler, Sgd& sgd) {
    for (auto& step : data_parallel.steps(sampler)) {
      backward(model, step);
      step.reduce();
      step.apply(sgd);
    }
  };
  run_ranks(3, [&](World& world) {
    auto all = world.communicator();
    Field<float> model(step_counts), expected(step_counts);
    Sgd sgd({.learning_rate = 0.1}), expected_sgd({.learning_rate = 0.1});
    DistributedSampler sampler({.count = 24, .global_batch = 8}), expected_sampler = sampler;
    DataParallel moving(all, model.parameters(), {.logical_shards = 4});
    DataParallel staying(all, expected.parameters(), {.logical_shards = 4});
    train(moving, model, sampler, sgd);
    train(staying, expected, expected_sampler, expected_sgd);
    // Rank 2 leaves: two ranks take its leaves over.
    auto fewer = all.split(world.rank() < 2 ? 0 : 1, 0);
    if (world.rank() < 2) {
      moving.rebind(*fewer);
      complaints.expect(world.rank(), moving.communicator().size() == 2, "size");
      train(moving, model, sampler, sgd);
    }
    train(staying, expected, expected_sampler, expected_sgd);
    complaints.expect(world.rank(), (model.bytes() == expected.bytes()) == (world.rank() < 2), "the weights");
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE(
    "bucket views are arena memory that stays through rebind(), and the mean is there where each rank has one leaf") {
  Complaints complaints(3);
  run_ranks(3, [&](World& world) {
    auto all = world.communicator();
    Field<float> model(step_counts);
    auto parameters = model.parameters();
    for (auto& each : parameters) each.gradient.data = nullptr;  // nobody else needs to make room for them
    DataParallel data_parallel(all, parameters, {.gradients_as_bucket_views = true});
    model.use_gradients(data_parallel.parameters());
    DistributedSampler sampler({.count = 12, .global_batch = 12});
    const auto step_in_place = [&] {
      for (auto& step : data_parallel.steps(sampler)) {
        backward(model, step);
        step.reduce();
        for (std::size_t p = 0; p < step_counts.size(); ++p) {
          const TensorView& view = data_parallel.parameters()[p].gradient;
          complaints.expect(world.rank(), step.gradient(p).data == view.data, "the mean is where backward wrote");
          complaints.expect(world.rank(), reinterpret_cast<std::uintptr_t>(view.data) % 64 == 0, "alignment");
          complaints.expect(world.rank(), all.memory().contains(view.data, Bytes{view.size_bytes()}), "arena memory");
        }
      }
    };
    step_in_place();
    std::vector<void*> before;
    for (const auto& each : data_parallel.parameters()) before.push_back(each.gradient.data);
    auto fewer = all.split(world.rank() < 2 ? 0 : 1, 0);
    data_parallel.rebind(*fewer);
    for (std::size_t p = 0; p < before.size(); ++p)
      complaints.expect(world.rank(), data_parallel.parameters()[p].gradient.data == before[p], "moved by rebind()");
    step_in_place();
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE("reduce() before all shards have been passed is refused") {
  Complaints complaints(1);
  run_ranks(1, [&](World& world) {
    Field<float> model(step_counts);
    DataParallel data_parallel(world.communicator(), model.parameters(), {.logical_shards = 4});
    DistributedSampler sampler({.count = 8, .global_batch = 8});
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) {
        complaints.expect_refusal(0, "shards have not been passed", [&] { step.reduce(); });
        model.backward(shard.samples(), [&](std::size_t p) { shard.ready(p); });
      }
      complaints.expect(0, step.reduce() == StepOutcome::ready, "outcome");
    }
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE("a step reduced but not applied changes no parameter, and the cursor advances") {
  Complaints complaints(3);
  run_ranks(3, [&](World& world) {
    Field<float> model(step_counts);
    DataParallel data_parallel(world.communicator(), model.parameters(), {.bucket_bytes = 64_B});
    const std::string before = model.bytes();
    DistributedSampler sampler({.count = 20, .global_batch = 6});
    std::uint64_t expected = 0;
    for (auto& step : data_parallel.steps(sampler)) {
      complaints.expect(world.rank(), step.index() == expected && step.epoch() == 0, "index");
      complaints.expect(world.rank(), sampler.cursor() == data::SamplerCursor{0, expected},
                        "the cursor is at the step under way");
      complaints.expect(world.rank(), step.batch_size() == (expected == 3 ? 2u : 6u), "batch size");
      ++expected;
      backward(model, step);
      if (step.index() != 2) complaints.expect(world.rank(), step.reduce() == StepOutcome::ready, "outcome");
      // Step 2 is not even reduced: the loop does it, so that ranks stay together.
    }
    complaints.expect(world.rank(), expected == 4, "steps");
    complaints.expect(world.rank(), sampler.cursor() == data::SamplerCursor{1, 0}, "cursor");
    complaints.expect(world.rank(), model.bytes() == before, "parameters");
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE("break leaves the cursor at the step under way, and the next loop takes it up again") {
  enum class Where { top, in_shards, before_reduce, after_reduce, after_apply };
  const auto where =
      GENERATE(Where::top, Where::in_shards, Where::before_reduce, Where::after_reduce, Where::after_apply);
  const bool overlap = GENERATE(true, false);
  const int ranks = GENERATE(1, 2, 3);
  Complaints complaints(ranks);
  run_ranks(ranks, [&](World& world) {
    Field<float> model(step_counts), straight(step_counts);
    Sgd sgd({.learning_rate = 0.1}), straight_sgd({.learning_rate = 0.1});
    const DataParallelOptions options{.bucket_bytes = 64_B, .logical_shards = 4, .overlap = overlap};
    DataParallel data_parallel(world.communicator(), model.parameters(), options);
    DistributedSampler sampler({.count = 32, .global_batch = 8}), straight_sampler = sampler;
    for (auto& step : data_parallel.steps(sampler)) {
      const bool leave = step.index() == 2;
      if (leave && where == Where::top) break;
      bool left = false;
      for (auto& shard : step.shards()) {
        // Ranks get to different points of their reductions before they leave.
        for (std::size_t p = step_counts.size(); p-- > 0;) {
          model.backward(p, shard.samples());
          shard.ready(p);
          if (leave && where == Where::in_shards && p == 2u - static_cast<std::size_t>(world.rank())) left = true;
          if (left) break;
        }
        if (left) break;
      }
      if (left || (leave && where == Where::before_reduce)) break;
      step.reduce();
      if (leave && where == Where::after_reduce) break;
      step.apply(sgd);
      if (leave) break;
    }
    const std::uint64_t next = where == Where::after_apply ? 3 : 2;
    complaints.expect(world.rank(), sampler.cursor() == data::SamplerCursor{0, next}, "cursor");
    std::size_t steps = 0;
    for (auto& step : data_parallel.steps(sampler)) {
      backward(model, step);
      complaints.expect(world.rank(), step.reduce() == StepOutcome::ready, "outcome");
      step.apply(sgd);
      ++steps;
    }
    complaints.expect(world.rank(), steps == (where == Where::after_apply ? 1u : 2u), "steps after the break");
    DataParallel other(world.communicator(), straight.parameters(), options);
    for (auto& step : other.steps(straight_sampler)) {
      backward(straight, step);
      step.reduce();
      step.apply(straight_sgd);
    }
    complaints.expect(world.rank(), model.bytes() == straight.bytes(), "parameters");
  });
  CAPTURE(static_cast<int>(where), overlap, ranks);
  REQUIRE(complaints.all() == "");
}

TEST_CASE("request_stop on one rank ends the loop on all at the same step") {
  const int ranks = GENERATE(1, 2, 3, 4);
  const int asks = GENERATE_COPY(range(0, ranks));
  Complaints complaints(ranks);
  run_ranks(ranks, [&](World& world) {
    Field<float> model(step_counts);
    Sgd sgd({.learning_rate = 0.1});
    DataParallel data_parallel(world.communicator(), model.parameters(), {.bucket_bytes = 64_B});
    DistributedSampler sampler({.count = 40, .global_batch = 4});
    std::uint64_t last = 99;
    for (auto& step : data_parallel.steps(sampler)) {
      backward(model, step);
      if (world.rank() == asks && step.index() == 3) data_parallel.request_stop();
      last = step.index();
      const bool stop = step.reduce() == StepOutcome::stop;
      complaints.expect(world.rank(), stop == (step.index() == 3), "outcome of step " + std::to_string(step.index()));
    }
    complaints.expect(world.rank(), last == 3, "last step " + std::to_string(last));
    complaints.expect(world.rank(), sampler.cursor() == data::SamplerCursor{0, 3},
                      "the step that was not applied is next");
    // The request is spent: a later loop runs to the end of the epoch.
    sampler.restore({.count = 40, .global_batch = 4, .seed = 0, .shuffle = true, .cursor = {0, 5}});
    std::size_t more = 0;
    for (auto& step : data_parallel.steps(sampler)) {
      backward(model, step);
      complaints.expect(world.rank(), step.reduce() == StepOutcome::ready, "outcome of a later loop");
      ++more;
    }
    complaints.expect(world.rank(), more == 5, "later steps");
  });
  CAPTURE(ranks, asks);
  REQUIRE(complaints.all() == "");
}

TEST_CASE("step.gradients() are what apply() uses") {
  Complaints complaints(3);
  run_ranks(3, [&](World& world) {
    Field<float> model(step_counts), foreign(step_counts);
    AdamW adamw({.learning_rate = 0.1}), same({.learning_rate = 0.1});
    DataParallel data_parallel(world.communicator(), model.parameters(), {.bucket_bytes = 64_B});
    DistributedSampler sampler({.count = 20, .global_batch = 6});
    for (auto& step : data_parallel.steps(sampler)) {
      backward(model, step);
      step.reduce();
      const auto gradients = step.gradients();
      for (std::size_t p = 0; p < step_counts.size(); ++p) {
        complaints.expect(world.rank(), gradients[p].count == step_counts[p] && gradients[p].dtype == DType::f32,
                          "shape");
        same.apply(model.parameters()[p].name, foreign.parameters()[p].value, gradients[p]);
      }
      const auto next = sampler.next(sampler.cursor());
      step.done();
      complaints.expect(world.rank(), sampler.cursor() == next, "an optimizer of others is done: the cursor");
      step.apply(adamw);
      complaints.expect(world.rank(), sampler.cursor() == next, "done but once");
      complaints.expect(world.rank(), model.bytes() == foreign.bytes(), "parameters");
    }
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE("steps() goes on from a restored sampler in the middle of an epoch, with the same bits") {
  const int ranks = GENERATE(1, 2, 4);
  Complaints complaints(ranks);
  run_ranks(ranks, [&](World& world) {
    const auto train = [&](Field<float>& model, DistributedSampler& sampler, Optimizer& optimizer,
                           std::uint64_t steps) {
      DataParallel data_parallel(world.communicator(), model.parameters(), {.logical_shards = 4});
      while (steps > 0) {
        for (auto& step : data_parallel.steps(sampler)) {
          if (steps == 0) break;
          backward(model, step);
          step.reduce();
          step.apply(optimizer);
          --steps;
        }
      }
    };
    const data::SamplerOptions options{.count = 23, .global_batch = 5, .seed = 9};  // five steps an epoch
    Field<float> straight(step_counts), resumed(step_counts);
    Sgd straight_sgd({.learning_rate = 0.1, .momentum = 0.9}), resumed_sgd({.learning_rate = 0.1, .momentum = 0.9});
    DistributedSampler one(options), before(options), after(options);
    train(straight, one, straight_sgd, 9);
    train(resumed, before, resumed_sgd, 7);
    complaints.expect(world.rank(), before.cursor() == data::SamplerCursor{1, 2}, "cursor at the interruption");
    after.restore(before.state());
    train(resumed, after, resumed_sgd, 2);
    complaints.expect(world.rank(), resumed.bytes() == straight.bytes(), "parameters");
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE("two models train beside each other on communicators of their own, and a DataParallel may move") {
  Complaints complaints(2);
  run_ranks(2, [&](World& world) {
    Field<float> first(step_counts), second({7}, 5);
    std::optional<DataParallel> a;
    a.emplace(*world.communicator().split(0), first.parameters(), DataParallelOptions{.bucket_bytes = 64_B});
    DataParallel b(*world.communicator().split(0), second.parameters());
    Sgd sgd_a({.learning_rate = 0.1}), sgd_b({.learning_rate = 0.1});
    DistributedSampler sampler_a({.count = 12, .global_batch = 4}), sampler_b({.count = 12, .global_batch = 4});
    DataParallel moved = std::move(*a);
    a.reset();
    auto other = b.steps(sampler_b);
    auto step_b = other.begin();
    for (auto& step : moved.steps(sampler_a)) {
      backward(first, step);
      for (auto& shard : (*step_b).shards()) second.backward(shard.samples(), [&](std::size_t p) { shard.ready(p); });
      step.reduce();
      (*step_b).reduce();
      step.apply(sgd_a);
      (*step_b).apply(sgd_b);
      ++step_b;
    }
    complaints.expect(world.rank(), sampler_b.cursor() == data::SamplerCursor{1, 0}, "the second loop's cursor");
    complaints.expect(world.rank(),
                      sgd_a.states().at("parameter0").steps == 3 && sgd_b.states().at("parameter0").steps == 3,
                      "steps");
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE("an exception out of backward leaves no rank waiting for ever") {
  const auto thrown = run_ranks_collecting(3,
                                           [&](World& world) {
                                             Field<float> model(step_counts);
                                             DataParallel data_parallel(world.communicator(), model.parameters(),
                                                                        {.bucket_bytes = 64_B});
                                             DistributedSampler sampler({.count = 12, .global_batch = 6});
                                             for (auto& step : data_parallel.steps(sampler)) {
                                               for (auto& shard : step.shards()) {
                                                 model.backward(shard.samples(), [&](std::size_t p) {
                                                   if (world.rank() == 1 && p == 1)
                                                     throw std::runtime_error("the user's own");
                                                   shard.ready(p);
                                                 });
                                               }
                                               step.reduce();
                                             }
                                           },
                                           {.world = {.timeout = std::chrono::seconds(30)}});
  REQUIRE(error_of(thrown[1]).message == "the user's own");
  for (const int rank : {0, 2}) {
    const Error error = error_of(thrown[static_cast<std::size_t>(rank)]);
    REQUIRE(error.code == ErrorCode::peer_lost);
    REQUIRE(error.peer_rank == 1);
  }
}
