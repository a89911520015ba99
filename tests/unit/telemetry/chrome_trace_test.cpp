// SPDX-License-Identifier: Apache-2.0
#include "trireme/telemetry/chrome_trace.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

using namespace trireme::telemetry;
using Clock = SpanRecorder::Clock;
using nlohmann::json;

namespace {

json written(const SpanRecorder& recorder, const ChromeTraceOptions& options = {}) {
  std::ostringstream out;
  write_chrome_trace(out, recorder, options);
  REQUIRE(out.good());
  return json::parse(out.str());
}

std::vector<json> of_phase(const json& trace, const std::string& phase) {
  std::vector<json> found;
  for (const json& event : trace["traceEvents"]) {
    if (event["ph"] == phase) found.push_back(event);
  }
  return found;
}

Clock::time_point at(std::int64_t nanoseconds) { return Clock::time_point(std::chrono::nanoseconds(nanoseconds)); }

}  // namespace

TEST_CASE("an empty recorder is a valid trace that names its process") {
  const SpanRecorder recorder(4);
  const json trace = written(recorder, {.rank = 3, .host = "node-7"});
  const auto metadata = of_phase(trace, "M");
  REQUIRE(metadata.size() == trace["traceEvents"].size());
  CHECK(metadata[0]["name"] == "process_name");
  CHECK(metadata[0]["pid"] == 3);
  CHECK(metadata[0]["args"]["name"] == "rank 3 (node-7)");
  CHECK(trace["otherData"]["rank"] == 3);
  CHECK(trace["otherData"]["host"] == "node-7");
  CHECK(trace["otherData"]["events"] == 0);
  CHECK(trace["otherData"]["dropped_events"] == 0);
}

TEST_CASE("spans and instants are written in microseconds since the origin, to the nanosecond") {
  SpanRecorder recorder(4);
  const Track steps = recorder.track("steps");
  const Track bucket = recorder.track("bucket 0");
  recorder.span(steps, "forward", at(5'001), at(1'005'007), {"leaf", 2});
  recorder.instant(bucket, "bucket ready", at(4'000));
  recorder.span(steps, "before the origin", at(-1), at(0));
  const json trace = written(recorder, {.rank = 1, .origin_unix_ns = recorder.unix_offset_ns()});
  const auto spans = of_phase(trace, "X");
  REQUIRE(spans.size() == 2);
  CHECK(spans[0]["name"] == "forward");
  CHECK(spans[0]["pid"] == 1);
  CHECK(spans[0]["tid"] == 0);
  CHECK(spans[0]["ts"] == 5.001);
  CHECK(spans[0]["dur"] == 1000.006);
  CHECK(spans[0]["args"] == json{{"leaf", 2}});
  CHECK(spans[1]["ts"] == -0.001);
  CHECK(spans[1]["dur"] == 0.001);
  const auto instants = of_phase(trace, "i");
  REQUIRE(instants.size() == 1);
  CHECK(instants[0]["ts"] == 4.0);
  CHECK(instants[0]["tid"] == 1);
  CHECK(instants[0]["s"] == "t");
  CHECK_FALSE(instants[0].contains("args"));
}

TEST_CASE("files of the same origin have the same clock, whoever wrote them") {
  SpanRecorder first(1), second(1);
  const auto now = Clock::now();
  first.instant(first.track("steps"), "event", now);
  second.instant(second.track("steps"), "event", now);
  const std::int64_t origin = first.unix_offset_ns() + now.time_since_epoch().count();
  const double one = of_phase(written(first, {.origin_unix_ns = origin}), "i")[0]["ts"];
  const double other = of_phase(written(second, {.origin_unix_ns = origin}), "i")[0]["ts"];
  CHECK(one == 0.0);
  CHECK(std::abs(other) < 10'000.0);  // microseconds: between two looks at both clocks a loaded machine may pause
}

TEST_CASE("every track has its name and place") {
  SpanRecorder recorder(1);
  recorder.track("steps");
  recorder.track("bucket 0 layer1.bias..");
  std::vector<std::string> names;
  for (const json& event : of_phase(written(recorder), "M")) {
    if (event["name"] == "thread_name") names.push_back(event["args"]["name"]);
    if (event["name"] == "thread_sort_index") CHECK(event["args"]["sort_index"] == event["tid"]);
  }
  CHECK(names == std::vector<std::string>{"steps", "bucket 0 layer1.bias.."});
}

TEST_CASE("whatever names hold, the file is JSON and UTF-8") {
  const std::string host = "a\"b\\c\nd\x01 \xc3\xa4 \xff\xc3 \xed\xa0\x80 \xf0\x9f\x9a\xa3 \xe2\x82";
  SpanRecorder recorder(1);
  recorder.instant(recorder.track(host), "quote \" backslash \\ line\n", Clock::now());
  const json trace = written(recorder, {.host = host});
  const std::string bad = "\xef\xbf\xbd";
  const std::string expected =
      "a\"b\\c\nd\x01 \xc3\xa4 " + bad + bad + " " + bad + bad + bad + " \xf0\x9f\x9a\xa3 " + bad + bad;
  CHECK(trace["otherData"]["host"] == expected);
  CHECK(of_phase(trace, "i")[0]["name"] == "quote \" backslash \\ line\n");
  for (const json& event : of_phase(trace, "M")) {
    if (event["name"] == "thread_name") CHECK(event["args"]["name"] == expected);
  }
}

TEST_CASE("a trace that was full says how much it lacks, in its data and in the label of its process") {
  SpanRecorder recorder(2);
  const Track track = recorder.track("steps");
  for (int i = 0; i < 5; ++i) recorder.instant(track, "event", Clock::now());
  const json trace = written(recorder);
  CHECK(trace["otherData"]["events"] == 2);
  CHECK(trace["otherData"]["dropped_events"] == 3);
  CHECK(of_phase(trace, "i").size() == 2);
  bool said = false;
  for (const json& event : of_phase(trace, "M")) {
    said |= event["name"] == "process_labels" && event["args"]["labels"] == "the last 3 events were dropped";
  }
  CHECK(said);
}

TEST_CASE("a trace larger than a piece of output is whole") {
  SpanRecorder recorder(20'000);
  const Track track = recorder.track("steps");
  for (int i = 0; i < 20'000; ++i) recorder.instant(track, "event", at(i), {"index", i});
  const auto instants = of_phase(written(recorder), "i");
  REQUIRE(instants.size() == 20'000);
  for (int i = 0; i < 20'000; i += 997) CHECK(instants[static_cast<std::size_t>(i)]["args"]["index"] == i);
}
