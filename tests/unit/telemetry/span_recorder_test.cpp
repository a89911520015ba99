// SPDX-License-Identifier: Apache-2.0
#include "trireme/telemetry/span_recorder.hpp"

#include "trireme/telemetry/scoped_span.hpp"

#include <catch2/catch.hpp>

#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

using namespace trireme::telemetry;
using Clock = SpanRecorder::Clock;

TEST_CASE("events come back in the order in which they were recorded, with everything they were given") {
  SpanRecorder recorder(8);
  const Track steps = recorder.track("steps");
  const Track reductions = recorder.track("bucket 0");
  const Clock::time_point begin{std::chrono::nanoseconds(1000)};
  recorder.span(steps, "forward", begin, begin + std::chrono::nanoseconds(250));
  recorder.instant(reductions, "bucket ready", begin + std::chrono::nanoseconds(70), {"bucket", 3});
  const auto events = recorder.events();
  REQUIRE(events.size() == 2);
  CHECK(events[0].name == std::string("forward"));
  CHECK(events[0].detail_name == std::string());
  CHECK(events[0].track == steps);
  CHECK(events[0].begin_ns == 1000);
  CHECK(events[0].end_ns == 1250);
  CHECK_FALSE(events[0].instant);
  CHECK(events[1].track == reductions);
  CHECK(events[1].instant);
  CHECK(events[1].detail_name == std::string("bucket"));
  CHECK(events[1].detail_value == 3);
  CHECK(recorder.dropped() == 0);
}

TEST_CASE("a track of a known name is the same track") {
  SpanRecorder recorder(1);
  const Track steps = recorder.track("steps");
  CHECK(recorder.track("bucket 0") != steps);
  CHECK(recorder.track(std::string("steps")) == steps);
  CHECK(recorder.tracks() == std::vector<std::string>{"steps", "bucket 0"});
}

TEST_CASE("a full recorder keeps its first events and counts the rest") {
  SpanRecorder recorder(3);
  const Track track = recorder.track("steps");
  for (int i = 0; i < 10; ++i) recorder.instant(track, "event", Clock::now(), {"index", i});
  REQUIRE(recorder.events().size() == 3);
  for (int i = 0; i < 3; ++i) CHECK(recorder.events()[static_cast<std::size_t>(i)].detail_value == i);
  CHECK(recorder.dropped() == 7);
  CHECK(recorder.capacity() == 3);
}

TEST_CASE("a recorder without room counts everything") {
  SpanRecorder recorder(0);
  recorder.instant(recorder.track("steps"), "event", Clock::now());
  CHECK(recorder.events().empty());
  CHECK(recorder.dropped() == 1);
}

TEST_CASE("threads record at once and nothing is lost but what does not fit") {
  constexpr int threads = 4;
  constexpr int each = 500;
  SpanRecorder recorder(1500);
  const Track track = recorder.track("steps");
  std::vector<std::thread> running;
  for (int t = 0; t < threads; ++t) {
    running.emplace_back([&, t] {
      for (int i = 0; i < each; ++i) recorder.instant(track, "event", Clock::now(), {"index", t * each + i});
    });
  }
  for (auto& thread : running) thread.join();
  CHECK(recorder.dropped() == threads * each - 1500);
  std::vector<bool> seen(threads * each, false);
  bool twice = false;
  for (const Event& event : recorder.events()) {
    const auto index = static_cast<std::size_t>(event.detail_value);
    twice |= seen.at(index);
    seen[index] = true;
  }
  CHECK_FALSE(twice);
}

TEST_CASE("a scoped span lasts to the end of its block, and without a recorder is nothing") {
  SpanRecorder recorder(2);
  const Track track = recorder.track("steps");
  {
    const ScopedSpan outer(&recorder, track, "outer");
    const ScopedSpan inner(&recorder, track, "inner", {"leaf", 1});
    const ScopedSpan none(nullptr, track, "none");
  }
  const auto events = recorder.events();
  REQUIRE(events.size() == 2);
  CHECK(events[0].name == std::string("inner"));
  CHECK(events[1].name == std::string("outer"));
  CHECK(events[1].begin_ns <= events[0].begin_ns);
  CHECK(events[0].begin_ns <= events[0].end_ns);
  CHECK(events[0].end_ns <= events[1].end_ns);
}

TEST_CASE("the recorder knows how its clock stands to the time of day") {
  const SpanRecorder recorder(1);
  const auto steady = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch()).count();
  const auto wall =
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  CHECK(std::abs(steady + recorder.unix_offset_ns() - wall) < 1'000'000'000);  // one second: somebody may set the clock
}
