// SPDX-License-Identifier: Apache-2.0
// What a step tells a recorder: counted, and in which order.
#include "field.hpp"
#include "ranks.hpp"
#include "trireme/optim/sgd.hpp"
#include "trireme/parallel/data_parallel.hpp"
#include "trireme/telemetry/span_recorder.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <string>
#include <vector>

using namespace trireme;
using namespace trireme::literals;
using namespace trireme::testing;
using telemetry::Event;
using telemetry::SpanRecorder;

namespace {

const std::vector<std::size_t> counts{100, 16, 500, 33};

std::vector<Event> named(const SpanRecorder& recorder, const std::string& name) {
  std::vector<Event> found;
  for (const Event& event : recorder.events()) {
    if (event.name == name) found.push_back(event);
  }
  return found;
}

/// The weights after three steps over 24 samples.
std::string train(World& world, const DataParallelOptions& options) {
  Field<float> model(counts);
  DataParallel data_parallel(world.communicator(), model.parameters(), options);
  Sgd optimizer({.learning_rate = 0.01});
  DistributedSampler sampler({.count = 24, .global_batch = 8});
  for (auto& step : data_parallel.steps(sampler)) {
    for (auto& shard : step.shards()) model.backward(shard.samples(), [&](std::size_t p) { shard.ready(p); });
    step.reduce();
    step.apply(optimizer, {.clip_norm = 1.0});
  }
  return model.bytes();
}

}  // namespace

TEST_CASE("a trace has every bucket of every step ready, then reduced, then waited for, then applied") {
  const int ranks = GENERATE(1, 2, 3);
  const bool overlap = GENERATE(true, false);
  const auto transport = GENERATE(as<std::string>{}, "mem", "tcp");
  Complaints complaints(ranks);
  run_ranks(
      ranks,
      [&](World& world) {
        SpanRecorder recorder(10'000);
        train(world, {.bucket_bytes = 64_B, .logical_shards = 4, .overlap = overlap, .trace = &recorder});
        const auto expect = [&](bool holds, const std::string& what) { complaints.expect(world.rank(), holds, what); };
        const auto ready = named(recorder, "bucket ready"), reduced = named(recorder, "reduce");
        const auto waited = named(recorder, "wait"), applied = named(recorder, "optimizer");
        expect(ready.size() == 12 && reduced.size() == 12 && waited.size() == 12, "four buckets in three steps");
        expect(applied.size() == 3 && named(recorder, "clip norm").size() == 3, "three updates");
        for (const char* once : {"reduce weights", "reduce counts", "wait for weights", "wait for counts"})
          expect(named(recorder, once).size() == 3, once);
        for (std::int64_t b = 0; b < 4; ++b) {
          const auto of_bucket = [&](std::vector<Event> events) {
            std::erase_if(events, [&](const Event& event) { return event.detail_value != b; });
            return events;
          };
          const auto r = of_bucket(ready), s = of_bucket(reduced), w = of_bucket(waited);
          expect(r.size() == 3 && s.size() == 3 && w.size() == 3, "bucket " + std::to_string(b));
          for (std::size_t i = 0; i < std::min({r.size(), s.size(), w.size(), applied.size()}); ++i) {
            expect(r[i].begin_ns <= s[i].begin_ns, "ready before it is reduced");
            expect(s[i].begin_ns <= s[i].end_ns && s[i].end_ns <= applied[i].begin_ns, "reduced before the update");
            expect(s[i].begin_ns <= w[i].begin_ns && w[i].end_ns <= applied[i].begin_ns,
                   "waited for before the update");
            expect(recorder.tracks()[static_cast<std::size_t>(s[i].track)] ==
                       "bucket " + std::to_string(b) + " parameter" + std::to_string(3 - b),
                   "on the bucket's track");
          }
        }
      },
      {.transport = transport});
  CAPTURE(ranks, overlap, transport);
  REQUIRE(complaints.all() == "");
}

TEST_CASE("a world of one reduces in place: its buckets are ready, and none travels") {
  Complaints complaints(1);
  run_ranks(1, [&](World& world) {
    SpanRecorder recorder(1000);
    train(world, {.bucket_bytes = 64_B, .trace = &recorder});
    complaints.expect(0, named(recorder, "bucket ready").size() == 12, "ready");
    complaints.expect(0, named(recorder, "reduce").empty() && named(recorder, "wait").empty(), "none travels");
    complaints.expect(0, named(recorder, "optimizer").size() == 3, "applied");
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE("a trace, whole or full, changes no bit") {
  const int ranks = GENERATE(1, 3);
  Complaints complaints(ranks);
  run_ranks(ranks, [&](World& world) {
    SpanRecorder recorder, full(5);
    const std::string expected = train(world, {.bucket_bytes = 512_B, .logical_shards = 4});
    complaints.expect(world.rank(),
                      train(world, {.bucket_bytes = 512_B, .logical_shards = 4, .trace = &recorder}) == expected,
                      "traced");
    complaints.expect(world.rank(),
                      train(world, {.bucket_bytes = 512_B, .logical_shards = 4, .trace = &full}) == expected, "full");
    complaints.expect(world.rank(), full.dropped() > 0 && full.events().size() == 5, "full");
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE("ranks may be traced one by one") {
  Complaints complaints(2);
  run_ranks(2, [&](World& world) {
    SpanRecorder recorder(1000);
    train(world, {.logical_shards = 4, .trace = world.rank() == 1 ? &recorder : nullptr});
    complaints.expect(world.rank(), recorder.events().empty() == (world.rank() == 0), "one traces");
  });
  REQUIRE(complaints.all() == "");
}
