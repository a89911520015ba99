// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor/report.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <set>

using trireme::cli::find_warnings;
using trireme::cli::Report;
using trireme::platform::Environment;

namespace {

Report report_on(const Environment& environment) {
  Report report;
  report.cluster = trireme::platform::detect(environment);
  report.machine = {4, 1u << 30};
  report.engines = trireme::cli::list_engines("/nonexistent/module.so", "/nonexistent/libnccl.so");
  report.transports = trireme::cli::probe_transports();
  return report;
}

Environment two_ranks() {
  return Environment({{"RANK", "1"},
                      {"WORLD_SIZE", "2"},
                      {"LOCAL_RANK", "1"},
                      {"LOCAL_WORLD_SIZE", "2"},
                      {"MASTER_ADDR", "10.0.0.1"},
                      {"MASTER_PORT", "29500"}});
}

}  // namespace

TEST_CASE("The JSON of doctor has exactly the promised keys") {
  auto json = nlohmann::json::parse(to_json(report_on(two_ranks())));
  std::set<std::string> keys;
  for (const auto& [key, value] : json.items()) keys.insert(key);
  REQUIRE(keys == std::set<std::string>{
                      "platform",  "launcher",       "level",       "node_rank",       "nnodes", "rank",
                      "world",     "local_rank",     "local_world", "master",          "port",   "interface",
                      "model_dir", "checkpoint_dir", "output_dir",  "tensorboard_dir", "inputs", "hyperparameters",
                      "gpus",      "engines",        "transports",  "warnings"});
  REQUIRE(json["launcher"] == "torchrun");
  REQUIRE(json["level"] == "process");
  REQUIRE(json["rank"] == 1);
  REQUIRE(json["world"] == 2);
  REQUIRE(json["node_rank"] == 0);
  REQUIRE(json["nnodes"] == 1);
  REQUIRE(json["master"] == "10.0.0.1");
  REQUIRE(json["port"] == 29500);
  REQUIRE(json["engines"]["host"]["available"] == true);
  REQUIRE(json["engines"]["mpi"]["available"] == false);
  REQUIRE(json["engines"]["mpi"]["reason"].is_string());
  REQUIRE(json["transports"]["mem"]["available"] == true);
}

TEST_CASE("The JSON of doctor is null where nothing is known, empty where there is nothing") {
  auto json = nlohmann::json::parse(to_json(report_on({})));
  for (const char* key :
       {"master", "port", "interface", "model_dir", "checkpoint_dir", "output_dir", "tensorboard_dir"}) {
    CAPTURE(key);
    REQUIRE(json[key].is_null());
  }
  REQUIRE(json["inputs"] == nlohmann::json::object());
  REQUIRE(json["hyperparameters"] == nlohmann::json::object());
  REQUIRE(json["gpus"] == nlohmann::json::array());
  REQUIRE(json["warnings"] == nlohmann::json::array());
}

TEST_CASE("The JSON of doctor is one line of valid JSON whatever bytes the variables hold") {
  auto environment = two_ranks();
  environment.set("MASTER_ADDR", "h\xff\"\n");
  std::string text = to_json(report_on(environment));
  REQUIRE(text.find('\n') == std::string::npos);
  REQUIRE_NOTHROW(nlohmann::json::parse(text));
}

TEST_CASE("The text of doctor says the same to people") {
  std::string text = to_text(report_on(two_ranks()));
  REQUIRE(text.find("1 of 2") != std::string::npos);
  REQUIRE(text.find("10.0.0.1, port 29500") != std::string::npos);
  REQUIRE(text.find("1024 MiB") != std::string::npos);
}

TEST_CASE("Doctor warns of a missing job key and of shared processors, and only then") {
  auto environment = two_ranks();
  auto report = report_on(environment);
  auto warnings = find_warnings(report, environment);
  REQUIRE(warnings.size() == 1);
  REQUIRE(warnings[0].find("TRIREME_JOB_KEY") != std::string::npos);

  environment.set("TRIREME_JOB_KEY", "0123456789abcdef");
  REQUIRE(find_warnings(report, environment).empty());
  report.machine.processors = 1;
  REQUIRE(find_warnings(report, environment).size() == 1);
  REQUIRE(find_warnings(report_on({}), {}).empty());
}
