// SPDX-License-Identifier: Apache-2.0
#include "multiprocess/launched.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace trireme::testing;
using Catch::Matchers::Contains;
using nlohmann::json;

TEST_CASE("doctor --json in an empty environment is a world of one") {
  auto result = run_trireme({"doctor", "--json"});
  REQUIRE(result.exit_code == 0);
  auto said = json::parse(result.out);
  REQUIRE(said["platform"] == "plain");
  REQUIRE(said["launcher"] == "none");
  REQUIRE(said["level"] == "single");
  REQUIRE(said["rank"] == 0);
  REQUIRE(said["world"] == 1);
  REQUIRE(said["master"].is_null());
  REQUIRE(said["transports"]["shm"]["available"] == true);
  REQUIRE(said["transports"]["tcp"]["available"] == true);
}

TEST_CASE("doctor under trireme run shows each rank what it is") {
  auto result = run_trireme({"run", "-n", "2", "--", "trireme", "doctor", "--json"});
  REQUIRE(result.exit_code == 0);
  auto lines = sorted_lines(result.out);
  REQUIRE(lines.size() == 2);
  for (int rank = 0; rank < 2; ++rank) {
    auto said = json::parse(lines[static_cast<std::size_t>(rank)].substr(4));
    REQUIRE(said["launcher"] == "trireme");
    REQUIRE(said["level"] == "process");
    REQUIRE(said["rank"] == rank);
    REQUIRE(said["world"] == 2);
    REQUIRE(said["local_world"] == 2);
  }
}

TEST_CASE("doctor refuses a broken environment in one line that names the variable") {
  auto result = run_trireme({"doctor", "--json"}, {{"RANK", "1"}});
  REQUIRE(result.exit_code == 2);
  REQUIRE(result.out.empty());
  REQUIRE_THAT(result.err, Contains("RANK=1") && Contains("WORLD_SIZE"));
  REQUIRE(result.err.find('\n') == result.err.size() - 1);

  result = run_trireme({"doctor"}, {{"TRIREME_INTERFACE", "no-such-interface"}});
  REQUIRE(result.exit_code == 2);
  REQUIRE_THAT(result.err, Contains("TRIREME_INTERFACE=no-such-interface"));
}

TEST_CASE("doctor refuses half of what srun sets for a task") {
  auto result = run_trireme({"doctor"}, {{"SLURM_NTASKS", "2"}, {"SLURM_PROCID", "1"}});
  REQUIRE(result.exit_code == 2);
  REQUIRE(result.out.empty());
  REQUIRE_THAT(result.err, Contains("SLURM_PROCID=1") && Contains("srun"));
}

TEST_CASE("doctor never prints the job key") {
  std::string key = "this is a secret text for the job";
  auto result = run_trireme({"doctor", "--json"}, {{"TRIREME_JOB_KEY", key}});
  REQUIRE(result.exit_code == 0);
  REQUIRE(result.out.find("secret") == std::string::npos);
}

TEST_CASE("doctor refuses what would keep a World from opening, in one line that names the variable") {
  for (const auto& [variable, value] : std::map<std::string, std::string>{{"TRIREME_TRANSPORT", "bogus"},
                                                                          {"TRIREME_ALGORITHM", "bogus"},
                                                                          {"TRIREME_TIMEOUT_S", "abc"},
                                                                          {"TRIREME_JOIN_TIMEOUT_S", "0"},
                                                                          {"TRIREME_PORT_RANGE", "9-1"},
                                                                          {"TRIREME_LOG", "loud"},
                                                                          {"TRIREME_JOB_KEY", "short"}}) {
    auto result = run_trireme({"doctor"}, {{variable, value}});
    CAPTURE(variable, result.err);
    REQUIRE(result.exit_code == 2);
    REQUIRE(result.out.empty());
    REQUIRE_THAT(result.err, Contains(variable));
    REQUIRE(result.err.find('\n') == result.err.size() - 1);
  }
}
