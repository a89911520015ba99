// SPDX-License-Identifier: Apache-2.0
// trireme train --trace, as a user starts it.
#include "multiprocess/idx_folder.hpp"
#include "multiprocess/launched.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>

using namespace trireme::testing;
using Catch::Matchers::Contains;
using nlohmann::json;
using Words = std::vector<std::string>;

namespace {

/// Five steps of two leaves.
Words traced_job(const IdxFolder& data, const Words& more) {
  Words words{"train", "--data-dir",     data.path(), "--hidden",    "16,8", "--batch-size",
              "16",    "--steps",        "5",         "--seed",      "7",    "--logical-shards",
              "2",     "--bucket-bytes", "512",       "--clip-norm", "1"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

Result on_ranks(int ranks, const Words& job) {
  Words words{"run", "-n", std::to_string(ranks), "--", TRIREME_PROGRAM};
  words.insert(words.end(), job.begin(), job.end());
  return run_trireme(words);
}

json trace_in(const std::string& path) {
  INFO(path);
  std::ifstream stream(path);
  REQUIRE(stream.good());
  return json::parse(stream);
}

std::string weights(const Result& result) {
  const auto at = result.out.find("weights_xxh3=");
  INFO("stdout: " << result.out << "\nstderr: " << result.err);
  REQUIRE(at != std::string::npos);
  return result.out.substr(at, 29);
}

/// Nanoseconds, so that sums are exact.
std::int64_t begin_of(const json& event) { return std::llround(event["ts"].get<double>() * 1000); }
std::int64_t end_of(const json& event) {
  return begin_of(event) + (event.contains("dur") ? std::llround(event["dur"].get<double>() * 1000) : 0);
}

std::vector<json> named(const json& trace, const std::string& name) {
  std::vector<json> found;
  for (const json& event : trace["traceEvents"]) {
    if (event["ph"] != "M" && event["name"] == name) found.push_back(event);
  }
  return found;
}

std::size_t count_inside(const json& trace, const std::string& name, const json& outer) {
  const auto events = named(trace, name);
  return static_cast<std::size_t>(std::count_if(events.begin(), events.end(), [&](const json& event) {
    return begin_of(outer) <= begin_of(event) && end_of(event) <= end_of(outer);
  }));
}

/// Spans of one track nest or follow each other.
void require_nesting(const json& trace) {
  std::map<std::int64_t, std::vector<std::pair<std::int64_t, std::int64_t>>> tracks;
  for (const json& event : trace["traceEvents"]) {
    if (event["ph"] != "X") continue;
    REQUIRE(event["dur"].get<double>() >= 0);
    tracks[event["tid"]].push_back({begin_of(event), end_of(event)});
  }
  for (auto& [track, spans] : tracks) {
    INFO("track " << track);
    // Of spans that begin together the longest comes first.
    std::sort(spans.begin(), spans.end(),
              [](auto a, auto b) { return a.first < b.first || (a.first == b.first && a.second > b.second); });
    std::vector<std::int64_t> open;
    for (const auto& [begin, end] : spans) {
      while (!open.empty() && open.back() <= begin) open.pop_back();
      if (!open.empty()) REQUIRE(end <= open.back());
      open.push_back(end);
    }
  }
}

void require_steps(const json& trace, std::size_t steps, std::size_t leaves, bool buckets_travel) {
  const auto found = named(trace, "step");
  REQUIRE(found.size() == steps);
  for (std::size_t i = 0; i < steps; ++i) {
    const json& step = found[i];
    INFO("step " << step.dump());
    CHECK(step["args"]["step"] == i + 1);
    for (const char* name : {"batch", "forward", "backward"}) CHECK(count_inside(trace, name, step) == leaves);
    for (const char* name : {"clip norm", "optimizer", "reduce weights", "wait for weights", "reduce counts"})
      CHECK(count_inside(trace, name, step) == 1);
    const std::size_t buckets = count_inside(trace, "bucket ready", step);
    CHECK(buckets > 1);
    CHECK(count_inside(trace, "reduce", step) == (buckets_travel ? buckets : 0));
    CHECK(count_inside(trace, "wait", step) == (buckets_travel ? buckets : 0));
  }
  for (const char* name : {"forward", "backward"}) CHECK(named(trace, name).size() == steps * leaves);
}

}  // namespace

TEST_CASE("train --trace on two ranks shows every part of every step, in one file per rank, and changes no weight") {
  const IdxFolder data(90, 40);
  const TemporaryFolder folder;
  const auto traced = on_ranks(2, traced_job(data, {"--trace", folder.path() + "/trace.json"}));
  REQUIRE(traced.exit_code == 0);
  CHECK(weights(traced) == weights(on_ranks(2, traced_job(data, {}))));
  std::vector<json> traces;
  for (const int rank : {0, 1}) {
    traces.push_back(trace_in(folder.path() + "/trace.rank" + std::to_string(rank) + ".json"));
    const json& trace = traces.back();
    CHECK(trace["otherData"]["rank"] == rank);
    CHECK(trace["otherData"]["dropped_events"] == 0);
    require_nesting(trace);
    require_steps(trace, 5, 1, true);
    for (const json& event : trace["traceEvents"]) CHECK(event["pid"] == rank);
    CHECK(named(trace, "evaluation").size() == 1);
    CHECK(!named(trace, "metrics").empty());
  }
  // One clock: no rank has a step reduced before the other has begun it.
  CHECK(traces[0]["otherData"]["origin_unix_ns"] == traces[1]["otherData"]["origin_unix_ns"]);
  for (std::size_t i = 0; i < 5; ++i) {
    for (const std::size_t rank : {0u, 1u}) {
      constexpr std::int64_t tolerance_ns = 1'000'000;
      CHECK(end_of(named(traces[rank], "step")[i]) + tolerance_ns > begin_of(named(traces[1 - rank], "step")[i]));
    }
  }
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 2);
}

TEST_CASE("train --trace alone writes the file as named; a rank with two leaves passes twice per step") {
  const IdxFolder data(90, 40);
  const TemporaryFolder folder;
  const auto result = run_trireme(traced_job(data, {"--trace", folder.path() + "/trace.json"}));
  REQUIRE(result.exit_code == 0);
  const json trace = trace_in(folder.path() + "/trace.json");
  require_nesting(trace);
  require_steps(trace, 5, 2, true);
}

TEST_CASE("A trace that cannot be written is refused before training, in one line that names the flag") {
  const IdxFolder data(90, 40);
  const auto ranks = GENERATE(1, 2);
  const Words job = traced_job(data, {"--trace", "/nowhere/at/all/trace.json"});
  const auto result = ranks == 1 ? run_trireme(job) : on_ranks(ranks, job);
  INFO("stdout: " << result.out << "\nstderr: " << result.err);
  CHECK(result.exit_code == 2);
  CHECK(result.out.empty());
  const std::string said = "trireme train: --trace: cannot write /nowhere/at/all/trace.json";
  CHECK_THAT(result.err, Contains(said));
  CHECK(result.err.find(said) == result.err.rfind(said));
}

TEST_CASE("A trace that does not fit its disk costs a line with the reason, and no training") {
  const IdxFolder data(90, 40);
  const auto result = run_trireme(traced_job(data, {"--trace", "/dev/full"}));
  INFO("stdout: " << result.out << "\nstderr: " << result.err);
  CHECK(result.exit_code == 0);
  CHECK_THAT(result.err, Contains("--trace: /dev/full could not be written completely: No space left on device\n"));
}

TEST_CASE("Training that a signal ends, or that diverges, leaves its trace whole") {
  const IdxFolder data(90, 40);
  const TemporaryFolder folder;
  const std::string file = folder.path() + "/trace.json";
  SECTION("a signal") {
    Launched launched(traced_job(data, {"--steps", "0", "--epochs", "100000000", "--log-every", "1", "--trace", file}));
    launched.await_out("metric step=3 ");
    launched.signal(SIGTERM);
    CHECK(launched.wait().exit_code == 143);
  }
  SECTION("no finite loss") {
    CHECK(
        run_trireme(traced_job(data, {"--learning-rate", "1e10", "--clip-norm", "0", "--steps", "0", "--trace", file}))
            .exit_code == 1);
  }
  const json trace = trace_in(file);
  require_nesting(trace);
  CHECK(named(trace, "step").size() >= 2);
}
