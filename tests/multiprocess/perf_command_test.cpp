// SPDX-License-Identifier: Apache-2.0
#include "multiprocess/launched.hpp"
#include "trireme/net/socket.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <fstream>
#include <sstream>

using namespace trireme::testing;
using Catch::Matchers::Contains;
using Variables = std::map<std::string, std::string>;

TEST_CASE("perf all_reduce verifies and measures over shm and tcp, and writes its rows as JSON") {
  const std::string transport = GENERATE("shm", "tcp");
  const auto ranks = GENERATE(1, 2, 3);
  const TemporaryFolder folder;
  const std::string file = folder.path() + "/rows.json";
  const auto result =
      run_trireme({"run", "-n", std::to_string(ranks), "--", TRIREME_PROGRAM, "perf", "all_reduce", "--max-bytes",
                   "64K", "--iterations", "3", "--transport", transport, "--algorithm", "tree", "--json", file});
  INFO("stdout: " << result.out << "\nstderr: " << result.err);
  REQUIRE(result.exit_code == 0);
  std::ifstream stream(file);
  const auto json = nlohmann::json::parse(stream);
  REQUIRE(json["rows"].size() == 8);
  for (const auto& row : json["rows"]) {
    CHECK(row["wrong"] == 0);
    CHECK(row["ranks"] == ranks);
    CHECK(row["algorithm"] == "tree");
    CHECK(row["transport"] == (ranks == 1 ? "self" : transport));
    CHECK(row["time_us"] > 0.0);
  }
  CHECK_THAT(result.out, Contains("bound_us"));
}

TEST_CASE("perf says in one line what it cannot measure, and ends with exit code 2") {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"perf"},
                                             {"perf", "broadcast"},
                                             {"perf", "all_reduce", "--json", "/nowhere/at/all.json"},
                                             {"perf", "all_reduce", "--max-bytes", "1024G"},
                                             {"perf", "all_reduce", "--algorithm", "magic"}}) {
    const auto result = run_trireme(arguments);
    INFO(arguments.back() << "\nstdout: " << result.out << "\nstderr: " << result.err);
    CHECK(result.exit_code == 2);
    CHECK(result.out.empty());
    CHECK(result.err.rfind("trireme perf: ", 0) == 0);
    if (arguments.size() > 2) CHECK_THAT(result.err, Contains(arguments[2]));
    CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
  }
}

TEST_CASE("perf refuses the ring by name in canonical order and measures it in the fastest") {
  const std::vector<std::string> ring{"run",  "-n",          "3",           "--",           TRIREME_PROGRAM,
                                      "perf", "all_reduce",  "--algorithm", "ring",         "--min-bytes",
                                      "64K",  "--max-bytes", "64K",         "--iterations", "2"};
  const auto refused = run_trireme(ring);
  CHECK(refused.exit_code == 2);
  CHECK_THAT(refused.err, Contains("trireme perf: --algorithm: ring does not keep") && Contains("direct"));
  auto fastest = ring;
  fastest.insert(fastest.end(), {"--order", "fastest", "--explain"});
  const auto measured = run_trireme(fastest);
  INFO(measured.err);
  CHECK(measured.exit_code == 0);
  CHECK_THAT(measured.out, Contains("ring, as asked for"));
}

TEST_CASE("A bad variable is refused by its own name") {
  const auto listener = trireme::net::listen_tcp({"", 0});
  const std::string taken = std::to_string(trireme::net::local_address(listener).port);
  const std::vector<std::pair<std::string, std::string>> bad{{"TRIREME_ALGORITHM", "ring"},
                                                             {"TRIREME_TRANSPORT", "carrier-pigeon"},
                                                             {"TRIREME_INTERFACE", "no-such-interface"},
                                                             {"TRIREME_PORT_RANGE", taken + "-" + taken}};
  for (const auto& [variable, value] : bad) {
    Variables environment{{"TRIREME_TRANSPORT", "tcp"}};
    environment[variable] = value;
    const auto result =
        run_trireme({"run", "-n", "2", "--", TRIREME_PROGRAM, "perf", "all_reduce", "--max-bytes", "4"}, environment);
    INFO(result.err);
    CHECK(result.exit_code == 2);
    CHECK_THAT(result.err, Contains(variable));
  }
  CHECK_THAT(run_trireme({"perf", "all_reduce"}, {{"TRIREME_TIMEOUT_S", "1e300"}}).err,
             Contains("TRIREME_TIMEOUT_S is '1e300'") && Contains("at most 1e7"));
}
