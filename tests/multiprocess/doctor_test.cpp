// SPDX-License-Identifier: Apache-2.0
#include "multiprocess/launched.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>

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

TEST_CASE("doctor --root looks below a folder and shows paths that begin with it") {
  const TemporaryFolder folder;
  const auto config = std::filesystem::path(folder.path()) / "opt/ml/input/config";
  std::filesystem::create_directories(config);
  std::ofstream(config / "resourceconfig.json") << R"({"current_host": "algo-2", "hosts": ["algo-1", "algo-2"]})";
  std::ofstream(config / "hyperparameters.json") << R"({"api_key": "very-secret", "lr": "0.1"})";
  auto result = run_trireme({"doctor", "--json", "--root", folder.path()}, {{"TRIREME_GPU_COUNT", "2"}});
  REQUIRE(result.exit_code == 0);
  const auto said = json::parse(result.out);
  REQUIRE(said["platform"] == "sagemaker");
  REQUIRE(said["launcher"] == "node_list");
  REQUIRE(said["level"] == "node");
  REQUIRE(said["rank"] == 2);
  REQUIRE(said["world"] == 4);
  REQUIRE(said["master"] == "algo-1");
  REQUIRE(said["model_dir"] == folder.path() + "/opt/ml/model");
  REQUIRE(said["gpus"].size() == 2);
  REQUIRE_FALSE(said.contains("role"));
  REQUIRE(result.out.find("very-secret") == std::string::npos);

  result = run_trireme({"doctor", "--root", folder.path()}, {{"TRIREME_GPU_COUNT", "2"}});
  REQUIRE(result.exit_code == 0);
  REQUIRE_THAT(result.out, Contains("2 to 3 of 4") && Contains("1 of 2 (algo-2)") && Contains("lr = 0.1"));
  REQUIRE(result.out.find("very-secret") == std::string::npos);
  REQUIRE(run_trireme({"doctor", "--json"}, {{"TRIREME_ROOT", folder.path()}}).out.find("sagemaker") !=
          std::string::npos);

  std::ofstream(config / "resourceconfig.json") << "{";
  result = run_trireme({"doctor", "--json", "--root", folder.path()});
  REQUIRE(result.exit_code == 2);
  REQUIRE(result.out.empty());
  REQUIRE_THAT(result.err, Contains((config / "resourceconfig.json").string()));
  REQUIRE(result.err.find('\n') == result.err.size() - 1);
}

TEST_CASE("doctor names a role that is no worker's, and a program of that role refuses to be a rank") {
  const std::map<std::string, std::string> evaluator{
      {"CLUSTER_SPEC", R"({"cluster": {"workerpool0": ["a"], "workerpool3": ["e"]},
                           "task": {"type": "workerpool3", "index": 0}})"}};
  const auto said = json::parse(run_trireme({"doctor", "--json"}, evaluator).out);
  REQUIRE(said["role"] == "evaluator");
  REQUIRE(said["rank"].is_null());
  REQUIRE(said["world"].is_null());
  REQUIRE_THAT(run_trireme({"doctor"}, evaluator).out, Contains("evaluator"));
  const auto pool = [](const char* type, int index) {
    return std::map<std::string, std::string>{
        {"CLUSTER_SPEC", R"({"cluster": {"workerpool0": ["a"], "workerpool2": ["s", "t"]}, "task": {"type": ")" +
                             std::string(type) + R"(", "index": )" + std::to_string(index) + "}}"}};
  };
  REQUIRE(json::parse(run_trireme({"doctor", "--json"}, pool("workerpool2", 1)).out)["role"] == "server");
  REQUIRE_THAT(run_trireme({"doctor"}, pool("workerpool2", 1)).out, Contains("server 1 of 2"));
  REQUIRE_THAT(run_trireme({"doctor"}, pool("workerpool0", 0)).out, Contains("servers"));
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
