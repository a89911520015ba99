// SPDX-License-Identifier: Apache-2.0
// A unit that stays open, a tied embedding's, does not keep the others from being reduced beside backward.
#include "parallel/unit_plan.hpp"
#include "ranks.hpp"
#include "trireme/models/gpt.hpp"
#include "trireme/optim/adamw.hpp"
#include "trireme/parallel/memory_estimate.hpp"
#include "trireme/telemetry/span_recorder.hpp"
#include "zero_field.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

using namespace trireme;
using namespace trireme::testing;
using telemetry::Event;
using telemetry::SpanRecorder;

namespace {

constexpr std::size_t block_count = 4, sample_rows = 2;

models::GptOptions tied_gpt(bool elsewhere) {
  return {
      .vocabulary = 50, .context = 8, .layers = block_count, .heads = 2, .channels = 64, .memory_elsewhere = elsewhere};
}

/// Moves what is under way until `reached` says so. False when it did not come: generous, so that only who never comes is missed.
template <class Reached>
bool wait_until(Communicator communicator, const Reached& reached) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!reached()) {
    if (std::chrono::steady_clock::now() > end) return false;
    communicator.progress();
    std::this_thread::yield();
  }
  return true;
}

constexpr int looked_at = 2;  // the pass, of a step whose predecessor has shown in which order units are used

/// What a recorder has of the bucket in that pass.
Event event_of(const SpanRecorder& recorder, const std::string& name, std::int64_t bucket) {
  int passes = 0;
  for (const Event& event : recorder.events())
    if (event.name == name && event.detail_value == bucket && passes++ == looked_at) return event;
  throw std::logic_error("no " + name + " of bucket " + std::to_string(bucket));
}

}  // namespace

TEST_CASE("a bucket between whose gradients others come and go is held beside two, and counted") {
  const std::vector<MixedParameter> list{{{1000}}, {{300}}, {{200}}, {{100}}, {{16}}};
  const MixedField model(list);
  const auto order = parallel::reverse_order(std::vector<bool>(list.size(), false));
  const auto plan = [&](const std::vector<std::vector<std::string>>& units) {
    return parallel::plan_units(model.parameters(), units, Bytes{64}, Bytes{64}, order);
  };
  const auto bytes = [](std::size_t count) { return (count * 4 + 63) / 64 * 64; };
  const auto none = plan({{"parameter0", "parameter1"}, {"parameter2", "parameter3"}});
  CHECK(none.buffers() == 2);
  CHECK(parallel::most_bytes_under_way(none) == bytes(1000) + bytes(300) + bytes(200) + bytes(100));
  const auto one = plan({{"parameter0", "parameter4"}});
  CHECK(one.buffers() == 3);
  CHECK(parallel::most_bytes_under_way(one) == bytes(1000) + bytes(16) + bytes(300) + bytes(200));
  const auto two = plan({{"parameter0", "parameter4"}, {"parameter1", "parameter3"}});
  CHECK(two.buffers() == 4);
  // Parameters of two types in a unit are two buckets; one that is open by itself, in two layers, counts once at a time.
  const std::vector<MixedParameter> mixed{{{7}}, {{5}, DType::f64, DType::f64}, {{7}},
                                          {{7}}, {{5}, DType::f64, DType::f64}, {{7}}};
  const MixedField other(mixed);
  const auto layered = parallel::plan_units(
      other.parameters(), std::vector<std::vector<std::string>>{{"parameter0", "parameter1", "parameter2"}, {"*"}},
      Bytes{64}, Bytes{64}, parallel::reverse_order(std::vector<bool>(mixed.size(), false)));
  CHECK(layered.open.size() == 2);
  CHECK(layered.buffers() == 3);
}

TEST_CASE(
    "at stages 2 and 3 a Gpt's block is reduced while the next one computes, within the memory that is estimated") {
  const int stage = GENERATE(2, 3);
  Complaints complaints(2);
  std::atomic<std::size_t> reached{0};  // blocks, from the last one down, of which rank 0 has all gradients
  SpanRecorder recorder(10'000);
  run_ranks(2, [&](World& world) {
    const int rank = world.rank();
    models::Gpt<float> model(tied_gpt(stage == 3));
    // In rounds a bucket's reduction waits for nothing but its gradients.
    DataParallelOptions options{.logical_shards = 4,
                                .zero_stage = stage,
                                .leaf_assignment = LeafAssignment::cyclic,
                                .units = model.units(),
                                .trace = rank == 0 ? &recorder : nullptr};
    if (stage == 3)
      options.initial = [&](std::size_t p, std::size_t from, TensorView part) { model.set_initial(p, from, part); };
    AdamW optimizer({});
    const auto estimate = parallel::estimate_memory(model.parameters(), options, optimizer, 2, rank);
    DataParallel data_parallel(world.communicator(), model.parameters(), options);
    model.use_access(data_parallel.access());
    const std::vector<std::uint16_t> tokens(sample_rows * (model.options().context + 1), 7);
    int passes = 0;
    for (auto& step : data_parallel.steps()) {
      for (auto& shard : step.shards()) {
        std::size_t left = 0, blocks = 0;  // gradients of the block under way, blocks that are done
        model.forward_backward(tokens, sample_rows, [&](std::size_t p) {
          const bool in_block = p >= 2 && p < 2 + 12 * block_count;
          if (in_block) left = left == 0 ? 11 : left - 1;
          const bool completes = in_block && left == 0;
          // Rank 1 gives a block only when rank 0 has computed the one below it: until then that block is being reduced.
          if (rank == 1 && completes && passes == looked_at && blocks + 1 < block_count) {
            complaints.expect(rank, wait_until(world.communicator(), [&] { return reached >= blocks + 2; }),
                              "rank 0 waits for block " + std::to_string(blocks));
          }
          shard.ready(p);
          if (completes && ++blocks != 0 && rank == 0 && passes == looked_at) reached = blocks;
        });
        ++passes;
      }
      step.reduce();
      step.apply(optimizer);
      complaints.expect(
          rank, data_parallel.gradient_memory().value <= estimate.gradients.value + estimate.transient_gradients.value,
          "more memory than estimated");
      if (passes == 4) break;
    }
    // Rank 0 has had to hold them all.
    complaints.expect(rank,
                      rank != 0 || data_parallel.gradient_memory().value ==
                                       estimate.gradients.value + estimate.transient_gradients.value,
                      "other memory than estimated");
  });
  CAPTURE(stage);
  REQUIRE(complaints.all() == "");
  // Buckets are in the order of backward: the last block's first.
  for (std::int64_t b = 0; b + 1 < static_cast<std::int64_t>(block_count); ++b) {
    const Event reduced = event_of(recorder, "reduce", b);
    const Event next = event_of(recorder, "bucket ready", b + 1);
    CAPTURE(b);
    CHECK(reduced.begin_ns <= next.begin_ns);
    CHECK(next.begin_ns <= reduced.end_ns);
  }
}
