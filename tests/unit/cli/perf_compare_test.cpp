// SPDX-License-Identifier: Apache-2.0
#include "cli/perf/captured.hpp"
#include "cli/perf/comparison.hpp"
#include "cli/perf/peers.hpp"
#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>

using namespace trireme;
using namespace trireme::cli;
using Catch::Matchers::Contains;

namespace {

Run run_of(std::vector<double> times) {
  Run run;
  for (const double time : times) run.push_back({.bytes = 4u << (2 * run.size()), .count = 1, .time_us = time});
  return run;
}

bool has_words(const std::vector<std::string>& all, const std::vector<std::string>& words) {
  return std::search(all.begin(), all.end(), words.begin(), words.end()) != all.end();
}

}  // namespace

TEST_CASE("The lines of a peer are found among whatever else its launcher prints") {
  const Run run = parse_peer_lines(
      "a warning\npeer bytes=4 count=1 time_us=1.5 p99_us=2.5 wrong=0\n[0] peer bytes=16 count=4 time_us=3 p99_us=4 "
      "wrong=2\npeer bytes=cut");
  REQUIRE(run.size() == 2);
  CHECK(run[0].time_us == 1.5);
  CHECK(run[0].p99_us == 2.5);
  CHECK(run[1].bytes == 16);
  CHECK(run[1].wrong == 2);
}

TEST_CASE("Each size is held against the setting that is fastest there, round by round") {
  Comparison comparison{.ours = {run_of({1, 10}), run_of({2, 10}), run_of({1, 20})},
                        .theirs = {{run_of({3, 40}), run_of({4, 40}), run_of({3, 60})},
                                   {run_of({9, 20}), run_of({9, 20}), run_of({9, 20})}}};
  const auto sizes = compare_sizes(comparison);
  REQUIRE(sizes.size() == 2);
  CHECK(sizes[0].setting == 0);
  CHECK(sizes[0].ours.time_us == 1);
  CHECK(sizes[0].theirs.time_us == 3);
  CHECK(sizes[0].ratio.median == 3);  // of 3, 2, 3
  CHECK(sizes[0].ratio.low == 2);
  CHECK(sizes[1].setting == 1);
  CHECK(sizes[1].ratio.median == 2);  // of 2, 2, 1
  CHECK(sizes[1].ratio.low == 1);
}

TEST_CASE("Runs that have measured different sizes are not compared") {
  const Comparison comparison{.ours = {run_of({1, 10})}, .theirs = {{run_of({1})}}};
  CHECK_THROWS_WITH(compare_sizes(comparison), Contains("different sizes"));
}

TEST_CASE("Our own rows are read back from their JSON") {
  const Run run = parse_perf_rows(R"({"rows": [{"bytes": 8, "count": 2, "time_us": 1.5, "p99_us": 2, "bound_us": null,
    "algorithm": "tree", "transport": "shm", "wrong": 1}]})");
  REQUIRE(run.size() == 1);
  CHECK(run[0].bytes == 8);
  CHECK(run[0].algorithm == "tree");
  CHECK(run[0].bound_us < 0);
  CHECK_THROWS_AS(parse_perf_rows("{}"), Exception);
}

TEST_CASE("Peers are started with the settings that are known to be their best") {
  const Peer bound = describe_peer("mpi", {.ranks = 2, .processors = 2, .root = true});
  CHECK(has_words(bound.arguments, {"--allow-run-as-root"}));
  CHECK(has_words(bound.arguments, {"-np", "2", "--bind-to", "core"}));
  REQUIRE(bound.settings.size() == 3);
  CHECK(has_words(bound.settings[1].launcher_arguments, {"--mca", "coll_tuned_allreduce_algorithm", "5"}));
  const Peer crowded = describe_peer("mpi", {.ranks = 4, .processors = 2, .tcp = true});
  CHECK_FALSE(has_words(crowded.arguments, {"--allow-run-as-root"}));
  CHECK(has_words(crowded.arguments, {"--oversubscribe", "--bind-to", "none"}));
  CHECK(has_words(crowded.arguments, {"--mca", "btl", "tcp,self"}));
  CHECK(has_words(describe_peer("mpich", {.ranks = 2, .processors = 2}).arguments, {"-np", "2", "-bind-to", "core"}));
  CHECK(has_words(describe_peer("mpich", {.tcp = true}).arguments, {"-genv", "UCX_TLS", "tcp,self"}));
  const Peer gloo = describe_peer("gloo", {.ranks = 2, .processors = 2});
  CHECK(gloo.launchers.empty());
  CHECK(has_words(gloo.arguments, {"run", "-n", "2", "--"}));
}

TEST_CASE("What a program writes, how it ends and that it does not end are told apart") {
  const Captured ended = run_captured({"/bin/sh", "-c", "echo out; echo err >&2; exit 3"}, std::chrono::seconds(60));
  CHECK(ended.exit_code == 3);
  CHECK(ended.out == "out\n");
  CHECK(ended.err == "err\n");
  CHECK(run_captured({"/bin/sh", "-c", "kill -9 $$"}, std::chrono::seconds(60)).exit_code == 128 + 9);
  CHECK(run_captured({"/nowhere/at/all"}, std::chrono::seconds(60)).exit_code == 127);
  const Captured late = run_captured({"/bin/sleep", "60"}, std::chrono::seconds(1));
  CHECK(late.timed_out);
  CHECK(late.exit_code == 128 + 15);
}

TEST_CASE("A comparison is printed with its ratios and written with rows of ours and of theirs") {
  const auto options = parse_perf_options({"all_reduce", "--compare", "mpi", "-n", "4", "--rounds", "1"});
  REQUIRE(options);
  const Peer peer = describe_peer("mpi", {.ranks = 4, .processors = 4});
  const auto sizes = compare_sizes({.ours = {run_of({2})}, .theirs = {{run_of({9})}, {run_of({5})}, {run_of({7})}}});
  const Placed placed{.runs = 4, .elsewhere = 1, .repeated = 2};
  CHECK_THAT(comparison_table(peer, sizes, placed),
             Contains("segmented ring") && Contains("2.50") &&
                 Contains("4 runs, of 1 the processors were not near each other") &&
                 Contains("2 others were repeated"));
  CHECK_THAT(comparison_heading(*options, peer, "h"),
             Contains("next to Open MPI: 4 ranks on h") && Contains("rabenseifner: mpirun.openmpi -np 4"));
  const auto json = nlohmann::json::parse(comparison_json(*options, peer, "h", sizes, placed));
  REQUIRE(json["rows"].size() == 2);
  CHECK(json["rows"][0]["engine"] == "host");
  CHECK(json["rows"][1]["engine"] == "mpi");
  CHECK(json["rows"][1]["algorithm"] == "segmented ring");
  CHECK(json["rows"][1]["busbw_GBps"].get<double>() == Approx(4 / 5e-6 / 1e9 * 1.5));
  CHECK(json["compare"][0]["ratio"] == 2.5);
  CHECK(json["environment"]["placement"]["wanted"] == "near");
  CHECK(json["environment"]["placement"]["elsewhere"] == 1);
}

TEST_CASE("The bare kernels are started as our memory is: mapped by all, or in pieces of several sizes") {
  const Peer mapped = describe_peer("bound", {.ranks = 4, .arena = true});
  REQUIRE(mapped.settings.size() == 1);
  CHECK(has_words(mapped.settings[0].program_arguments, {"--processes", "4", "--kind", "zero_copy"}));
  const Peer foreign = describe_peer("bound", {.ranks = 2, .arena = false});
  CHECK(foreign.settings.size() == 4);
  CHECK(has_words(foreign.settings[0].program_arguments, {"--kind", "staged", "--chunk", "16384"}));
}
