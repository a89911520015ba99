// SPDX-License-Identifier: Apache-2.0
#include "multiprocess/idx_folder.hpp"
#include "multiprocess/train_job.hpp"
#include "trireme/models/weights_hash.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace {

using namespace trireme::testing;
using Catch::Matchers::Contains;
using Words = std::vector<std::string>;
using nlohmann::json;

const IdxFolder& samples() {
  static const IdxFolder folder(90, 40);
  return folder;
}

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  INFO(path);
  REQUIRE(file.good());
  return {std::istreambuf_iterator<char>(file), {}};
}

struct Exported {
  json config;
  json header;
  std::string data;
};

Exported read_export(const std::string& folder) {
  Exported exported{.config = json::parse(bytes_of(folder + "/config.json")), .header{}, .data{}};
  const std::string file = bytes_of(folder + "/model.safetensors");
  std::uint64_t length = 0;
  REQUIRE(file.size() > sizeof length);
  std::memcpy(&length, file.data(), sizeof length);
  exported.header = json::parse(file.substr(sizeof length, length));
  exported.data = file.substr(sizeof length + length);
  return exported;
}

std::string hash_of(std::string& bytes) {
  const std::vector<trireme::Parameter> all{
      {"all", {}, trireme::TensorView(bytes.data(), bytes.size(), trireme::DType::u8), {}}};
  return trireme::models::weights_hash(all);
}

Words small_job(const std::string& folder, const Words& more) {
  Words words{"train",
              "--data-dir",
              samples().path(),
              "--model-dir",
              folder,
              "--batch-size",
              "44",
              "--epochs",
              "2",
              "--logical-shards",
              "4"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& each : std::filesystem::directory_iterator(folder)) names.push_back(each.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

TEST_CASE("--model-dir leaves the weights that the result tells of, in place of an earlier export's") {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/made/for/it";
  for (const Words& more : {Words{}, Words{"--precision", "bf16", "--keep-best"}, Words{"--ema", "0.5"}}) {
    Words job = small_job(path, more);
    job.insert(job.end(), {"--hidden", "16,8"});
    const auto result = run_ranks(2, job);
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    const std::string line = result_of(result);
    CHECK_THAT(result.err, Contains("wrote model.safetensors (") &&
                               Contains(" 6 tensors), config.json and metrics.json in " + path));
    CHECK(names_in(path) == std::vector<std::string>{"config.json", "metrics.json", "model.safetensors"});
    const json metrics = json::parse(bytes_of(path + "/metrics.json"));
    CHECK(metrics["weights_xxh3"] == value(line, "weights_xxh3"));
    CHECK(metrics["steps"].dump() == value(line, "steps"));
    CHECK(metrics["world"] == 2);
    CHECK(std::abs(metrics["train_loss"].get<double>() - std::stod(value(line, "train_loss"))) < 1e-6);
    CHECK(std::abs(metrics["test_accuracy"].get<double>() - std::stod(value(line, "test_accuracy"))) < 1e-4);
    Exported exported = read_export(path);
    CHECK(exported.config["weights_xxh3"] == value(line, "weights_xxh3"));
    CHECK(hash_of(exported.data) == value(line, "weights_xxh3"));
    CHECK(exported.config["steps"].dump() == value(line, "steps"));
    const bool narrow = !more.empty() && more[1] == "bf16";
    CHECK(exported.config["dtype"] == (narrow ? "bf16" : "f32"));
    CHECK(exported.header["layer0.weight"]["dtype"] == (narrow ? "BF16" : "F32"));
    CHECK(exported.header["layer0.weight"]["shape"] == json{16, 36});
    CHECK(exported.header["__metadata__"] == json{{"format", "pt"}});
    CHECK(exported.config["architecture"]["sizes"] == json{36, 16, 8, 10});
  }
}

TEST_CASE("The running statistics of a resnet are exported with its weights") {
  const TemporaryFolder folder;
  const auto result = run_trireme(small_job(folder.path(), {"--model", "resnet", "--steps", "1"}));
  REQUIRE(result.exit_code == 0);
  const Exported exported = read_export(folder.path());
  CHECK(exported.header["stem.norm.running_mean"]["shape"] == json{16});
  CHECK(exported.header["stage2.block0.shortcut.norm.running_variance"]["shape"] == json{64});
  CHECK(exported.config["architecture"]["norm"]["epsilon"] == 1e-5);
}

TEST_CASE("A run that a signal ends leaves its model, too, and says so when it cannot") {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/model";
  Words job = small_job(path, {"--hidden", "16,8", "--epochs", "1000000", "--eval-every", "0", "--log-every", "1"});
  const bool spoilt = GENERATE(false, true);
  Launched launched(job);
  launched.await_out("metric step=3 ");
  if (spoilt) {
    std::filesystem::remove_all(path);
    std::ofstream(path) << "no folder any more";
  }
  launched.signal(SIGTERM);
  const auto result = launched.wait();
  INFO(result.err);
  const std::string line = result_of(result);
  if (spoilt) {
    CHECK(result.exit_code == 1);
    CHECK_THAT(result.err, Contains("trireme train: --model-dir: the model was not written: "));
    return;
  }
  CHECK(result.exit_code == 128 + SIGTERM);
  Exported exported = read_export(path);
  CHECK(exported.config["steps"].dump() == value(line, "steps"));
  CHECK(hash_of(exported.data) == value(line, "weights_xxh3"));
}

TEST_CASE("A run that stops at a checkpoint leaves no model; the one that goes on to the end does") {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/model";
  const Words job = small_job(path, {"--hidden", "16,8", "--checkpoint-dir", folder.path() + "/checkpoints"});
  Words first = job;
  first.insert(first.end(), {"--stop-after", "2steps"});
  const auto stopped = run_trireme(first);
  INFO(stopped.err);
  CHECK_THAT(result_of(stopped), Contains(" interrupted=1"));
  CHECK(names_in(path).empty());
  const auto resumed = run_ranks(2, job);
  INFO(resumed.err);
  REQUIRE(resumed.exit_code == 0);
  Exported exported = read_export(path);
  CHECK(hash_of(exported.data) == value(result_of(resumed), "weights_xxh3"));
}

TEST_CASE("A model folder that cannot be written is refused before training, by all ranks alike") {
  const TemporaryFolder folder;
  const std::string file = folder.path() + "/file";
  std::ofstream(file) << "no folder";
  const std::string refusal = "trireme train: --model-dir: cannot write in " + file;
  require_refusal(run_trireme(small_job(file, {})), refusal);
  require_refusal(run_trireme(small_job(file + "/below", {})), refusal + "/below: ");
  require_refusal(run_trireme(small_job("", {})), "--model-dir: the name of the folder is empty");
  const auto result = run_ranks(3, small_job(file, {}));
  INFO(result.err);
  CHECK(result.exit_code == 2);
  CHECK(result.out.empty());
  const auto first = result.err.find(refusal);
  CHECK(first != std::string::npos);
  CHECK(result.err.find(refusal, first + 1) == std::string::npos);
}
