// SPDX-License-Identifier: Apache-2.0
#include "doctor_case.hpp"

#include "cli/doctor/examine.hpp"
#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>

namespace trireme::testing {
namespace {

using Json = nlohmann::json;

Json of_empty_environment() {
  return Json::parse(R"({"platform": "plain", "launcher": "none", "level": "single", "node_rank": 0, "nnodes": 1,
    "rank": 0, "world": 1, "local_rank": 0, "local_world": 1, "master": null, "port": null, "model_dir": null,
    "checkpoint_dir": null, "output_dir": null, "tensorboard_dir": null, "inputs": {}, "hyperparameters": {}})");
}

void check_refusal(const DoctorCase& job, const platform::Environment& environment, const std::string& root) {
  std::string words = below(root, std::string(job.expected).substr(7));
  std::string message;
  try {
    (void)cli::examine(environment);
  } catch (const Exception& caught) {
    message = caught.error().message;
    REQUIRE((caught.error().code == ErrorCode::invalid_argument || caught.error().code == ErrorCode::unsupported));
  }
  INFO("said: " << message);
  REQUIRE_FALSE(message.empty());
  REQUIRE(message.find('\n') == std::string::npos);
  for (std::size_t end = 0; !words.empty(); words.erase(0, std::min(end + 3, words.size()))) {
    end = std::min(words.find(" | "), words.size());
    INFO("expected: " << words.substr(0, end));
    REQUIRE(message.find(words.substr(0, end)) != std::string::npos);
  }
}

}  // namespace

std::string below(const std::string& root, std::string text) {
  for (std::size_t at = 0; (at = text.find("ROOT", at)) != std::string::npos; at += root.size())
    text.replace(at, 4, root);
  return text;
}

void lay_out(const DoctorCase& job, const std::string& root) {
  for (const auto& [path, text] : job.files) {
    const std::filesystem::path file = root + "/" + path;
    std::filesystem::create_directories(file.parent_path());
    if (path.back() != '/') std::ofstream(file, std::ios::binary) << below(root, text);
  }
}

void check(const std::vector<DoctorCase>& cases) {
  for (const DoctorCase& job : cases) {
    INFO(job.name);
    const TemporaryFolder folder;
    lay_out(job, folder.path());
    platform::Environment environment;
    environment.set("TRIREME_ROOT", folder.path());
    environment.set("TRIREME_GPU_COUNT", "8");
    environment.set("TRIREME_JOB_KEY", "0123456789abcdef0123");
    for (const auto& [name, value] : job.environment) environment.set(name, below(folder.path(), value));
    if (std::string(job.expected).rfind("error: ", 0) == 0) {
      check_refusal(job, environment, folder.path());
      continue;
    }
    const cli::Report report = cli::examine(environment);
    Json said = Json::parse(to_json(report));
    for (const char* key : {"gpus", "engines", "transports", "interface", "warnings"}) {
      REQUIRE(said.contains(key));
      said.erase(key);
    }
    Json expected = of_empty_environment();
    expected.update(Json::parse(below(folder.path(), job.expected)));
    REQUIRE(said.dump(1) == expected.dump(1));
    INFO((report.cluster.warnings.empty() ? "no warning" : report.cluster.warnings.front()));
    REQUIRE(report.cluster.warnings.size() == static_cast<std::size_t>(job.warnings));
  }
}

}  // namespace trireme::testing
