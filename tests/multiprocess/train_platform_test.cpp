// SPDX-License-Identifier: Apache-2.0
// What a job finds by itself where a platform has laid it out.
#include "multiprocess/idx_folder.hpp"
#include "multiprocess/train_job.hpp"
#include "support/reserved_port.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <regex>
#include <set>
#include <sstream>
#include <thread>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

using namespace trireme::testing;
using Catch::Matchers::Contains;
using nlohmann::json;
using Words = std::vector<std::string>;
using Variables = std::map<std::string, std::string>;
namespace fs = std::filesystem;

/// SageMaker's folders of one host, elsewhere than in /opt/ml.
class Host {
 public:
  Host(const std::string& base, const std::string& name, const json& hosts) : base_(base) {
    fs::create_directories(base_ + "/input/config");
    fs::create_directories(base_ + "/input/data");
    write("resourceconfig", {{"current_host", name}, {"hosts", hosts}, {"network_interface_name", "lo"}});
  }
  void write(const std::string& name, const json& content) const {
    std::ofstream(base_ + "/input/config/" + name + ".json") << content;
  }
  void put(const std::string& file, const std::string& text) const {
    fs::create_directories(fs::path(base_ + "/input/data/" + file).parent_path());
    std::ofstream(base_ + "/input/data/" + file) << text;
  }
  std::string path(const std::string& below) const { return base_ + "/" + below; }
  Variables environment() const { return {{"SAGEMAKER_BASE_DIR", base_}, {"TRAINING_JOB_NAME", "job"}}; }

 private:
  std::string base_;
};

std::string hash_of(const Result& result) {
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  return value(result_of(result), "weights_xxh3");
}

std::string rows(int first, int count) {
  std::string text = "x,z,y\n";
  for (int i = first; i < first + count; ++i)
    text += std::to_string(i) + "," + std::to_string(i * i % 7) + "," + std::to_string(3 * i + i * i % 7) + "\n";
  return text;
}

Words on_rows(const std::string& dataset) {
  return {"train", "--dataset",    dataset, "--model",          "linear", "--epochs",
          "2",     "--batch-size", "8",     "--logical-shards", "4"};
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("Every flag of train's help is described, and no other") {
  const auto help = run_trireme({"train", "--help"});
  const auto described = run_trireme({"train", "--describe", "json"});
  REQUIRE(help.exit_code == 0);
  REQUIRE(described.exit_code == 0);
  CHECK(std::count(described.out.begin(), described.out.end(), '\n') == 1);
  std::set<std::string> helped, told;
  const std::regex flag("\n  (?:-h,)?(--[a-z0-9-]+)");
  for (auto each = std::sregex_iterator(help.out.begin(), help.out.end(), flag); each != std::sregex_iterator(); ++each)
    helped.insert((*each)[1]);
  helped.erase("--help");
  const json document = json::parse(described.out);
  CHECK(document["name"] == "trireme train");
  for (const json& each : document["flags"]) {
    told.insert(each["flag"]);
    CHECK_THAT(help.out, Contains(each["help"].get<std::string>().substr(0, 30)));
  }
  CHECK(told == helped);
  CHECK(told.size() > 60);
}

TEST_CASE("Help and description ask nothing of the platform") {
  for (const Words& words : {Words{"train", "--help"}, Words{"train", "--describe=json"}})
    CHECK(run_trireme(words, {{"RANK", "3"}}).exit_code == 0);
  require_refusal(run_trireme({"train", "--describe", "yaml"}), "--describe is 'yaml'; this version has: json");
}

TEST_CASE("With --log-format json every line of every rank is an object") {
  const auto result = run_ranks(2, {"train", "--dataset", "synthetic:linear", "--model", "linear", "--samples", "100",
                                    "--epochs", "2", "--log-format", "json"});
  INFO(result.out << result.err);
  REQUIRE(result.exit_code == 0);
  bool has_metric = false, has_result = false;
  for (const std::string& text : {result.out, result.err}) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      const json object = json::parse(line);
      CHECK(object["severity"] == "INFO");
      CHECK(object["message"].is_string());
      has_metric = has_metric || (object.contains("metric") && object["metric"]["epoch"] == 2);
      has_result = has_result || (object.contains("result") && object["result"]["world"] == 2);
    }
  }
  CHECK(has_metric);
  CHECK(has_result);
}

TEST_CASE("With --log-format json the reason of a failure is an object too, and the failure note has its words") {
  const Words words{"train", "--log-format=json", "--data-dir", "/no/such/folder"};
  const auto alone = run_trireme(words);
  CHECK(alone.exit_code == 2);
  CHECK(json::parse(alone.err) ==
        json{{"severity", "ERROR"}, {"message", "trireme train: --data-dir /no/such/folder does not exist"}});
  CHECK(json::parse(run_trireme({"train", "--log_format", "json", "--epochs", "0"}).err)["severity"] == "ERROR");
  require_refusal(run_trireme({"train", "--epochs", "0"}), "--epochs must be at least 1, got 0");

  const auto two = run_trireme({"run", "-n", "2", "--", "trireme", "train", "--log-format", "json", "--epochs", "0"});
  CHECK(two.exit_code == 2);
  const std::size_t once = two.err.find("--epochs must be");
  CHECK(once != std::string::npos);
  CHECK(two.err.find("--epochs must be", once + 1) == std::string::npos);  // as with plain lines

  const TemporaryFolder folder;
  const Host host(folder.path(), "algo-1", {"algo-1"});
  fs::create_directories(host.path("output"));
  Words entry{"entry"};
  entry.insert(entry.end(), words.begin(), words.end());
  CHECK(run_trireme(entry, host.environment()).exit_code == 2);
  CHECK_THAT(read_file(host.path("output/failure")),
             Catch::Matchers::StartsWith("trireme train: --data-dir /no/such/folder does not exist"));
}

TEST_CASE("On SageMaker hyperparameters, data, checkpoints and model are found without a flag") {
  const TemporaryFolder folder;
  const IdxFolder samples(90, 40);
  const Host host(folder.path(), "algo-1", {"algo-1"});
  fs::create_directory_symlink(samples.path(), host.path("input/data/train"));
  fs::create_directory(host.path("checkpoints"));
  host.write("inputdataconfig", {{"train", {{"TrainingInputMode", "FastFile"}}}});
  host.write("hyperparameters", {{"epochs", "2"},
                                 {"batch_size", "44"},
                                 {"hidden", "[16, 8]"},
                                 {"nesterov", "true"},
                                 {"optimizer", "\"sgd\""},
                                 {"logical-shards", "4"},
                                 {"checkpoint-every", "1"}});
  const auto told = run_ranks(2, {"train"}, host.environment());
  CHECK_THAT(told.err, Contains("trireme train: from sagemaker: --checkpoint-dir " + host.path("checkpoints") +
                                ", --model-dir " + host.path("model") + ", --data-dir " +
                                host.path("input/data/train") + ", the hyperparameters batch_size, "));
  const std::string hash = hash_of(told);
  CHECK(hash == hash_of(run_trireme({"train", "--data-dir", samples.path(), "--epochs", "2", "--batch-size", "44",
                                     "--hidden", "16,8", "--nesterov", "--logical-shards", "4"})));
  CHECK(json::parse(read_file(host.path("model/metrics.json")))["weights_xxh3"] == hash);
  CHECK(fs::exists(host.path("model/model.safetensors")));
  CHECK(fs::exists(host.path("checkpoints/journal")));
  std::set<std::string> left;
  for (const auto& each : fs::directory_iterator(host.path("model"))) left.insert(each.path().filename().string());
  CHECK(left == std::set<std::string>{"config.json", "metrics.json", "model.safetensors"});

  host.write("hyperparameters", {{"epoch", "2"}});
  require_refusal(run_trireme({"train"}, host.environment()),
                  "the hyperparameter 'epoch' is unknown; did you mean epochs? Known are: accumulate, ");
}

TEST_CASE("A hyperparameter of the environment is one, and what is typed stands above it") {
  const TemporaryFolder folder;
  const Host host(folder.path(), "algo-1", {"algo-1"});
  const Words job{"train", "--dataset", "synthetic:linear", "--model", "linear", "--samples", "100"};
  const Variables environment{{"TRIREME_HP_STEPS", "3"}, {"TRIREME_HP_LEARNING_RATE", "0.01"}};
  CHECK(value(result_of(run_trireme(job, environment)), "steps") == "3");
  Words typed = job;
  typed.insert(typed.end(), {"--steps", "2"});
  CHECK(value(result_of(run_trireme(typed, environment)), "steps") == "2");
}

TEST_CASE("A pipe trains what the same bytes in a file do, and leaves nothing") {
  const TemporaryFolder folder, scratch;
  const Host host(folder.path(), "algo-1", {"algo-1"});
  host.write("inputdataconfig", {{"train", {{"TrainingInputMode", "Pipe"}}}});
  const std::string text = rows(0, 60), fifo = host.path("input/data/train_0");
  host.put("file.csv", text);
  std::thread writer([&] {
    ::mkfifo(fifo.c_str(), 0600);
    const int descriptor = ::open(fifo.c_str(), O_WRONLY);
    if (::write(descriptor, text.data(), text.size()) < 0) FAIL_CHECK("cannot write");
    ::close(descriptor);
  });
  Variables environment = host.environment();
  environment["TMPDIR"] = scratch.path();
  const auto piped = run_ranks(2, on_rows("csv:train"), environment);
  writer.join();
  CHECK(hash_of(piped) == hash_of(run_trireme(on_rows("csv:" + host.path("input/data/file.csv")))));
  CHECK(fs::is_empty(scratch.path()));
}

TEST_CASE("Hosts with a part of the rows each train what one host with all of them does") {
  const TemporaryFolder folder, scratch;
  const json hosts{"algo-1", "algo-2"};
  const std::vector<Host> both{{folder.path() + "/1", "algo-1", hosts}, {folder.path() + "/2", "algo-2", hosts}};
  fs::create_directory(folder.path() + "/whole");
  for (int part = 0; part < 5; ++part) {
    const std::string name = "part-" + std::to_string(part) + ".csv", text = rows(part * 12, 12);
    both[static_cast<std::size_t>(part % 2)].put("train/" + name, text);
    std::ofstream(folder.path() + "/whole/" + name) << text;
  }
  const ReservedPort port;
  std::vector<std::unique_ptr<Launched>> ranks;
  for (std::size_t rank = 0; rank < 2; ++rank) {
    both[rank].write("inputdataconfig",
                     {{"train", {{"TrainingInputMode", "File"}, {"S3DistributionType", "ShardedByS3Key"}}}});
    Variables environment = both[rank].environment();
    environment.insert({{"RANK", std::to_string(rank)},
                        {"WORLD_SIZE", "2"},
                        {"LOCAL_RANK", "0"},
                        {"MASTER_ADDR", "127.0.0.1"},
                        {"MASTER_PORT", std::to_string(port.address.port)},
                        {"TMPDIR", scratch.path()}});
    ranks.push_back(std::make_unique<Launched>(on_rows("csv:channel:train"), environment));
  }
  const auto first = ranks[0]->wait(), second = ranks[1]->wait();
  INFO(second.err);
  CHECK(second.exit_code == 0);
  CHECK_THAT(first.err, Contains("channel train is sharded: 2 hosts have "));
  CHECK(hash_of(first) == hash_of(run_trireme(on_rows("csv:" + folder.path() + "/whole"))));
  CHECK(fs::is_empty(scratch.path()));
  CHECK_FALSE(fs::exists(both[1].path("model/metrics.json")));
}

TEST_CASE("A batch script of several tasks that forgot srun is told that it trains alone") {
  const std::vector<std::string> job{"train", "--dataset", "synthetic:blobs", "--samples", "32", "--steps", "1"};
  Variables script{{"SLURM_JOB_ID", "7"}, {"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}};
  CHECK_THAT(run_trireme(job, script).err, Contains("SLURM_NTASKS is 4") && Contains("write srun before it"));
  script["SLURM_NTASKS"] = "1";
  CHECK_THAT(run_trireme(job, script).err, !Contains("srun"));
}
