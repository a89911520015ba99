// SPDX-License-Identifier: Apache-2.0
#include "multiprocess/train_job.hpp"
#include "support/reserved_port.hpp"
#include "unit/tracking/fake_mlflow.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace {

using namespace trireme;
using namespace trireme::testing;
using Words = std::vector<std::string>;
using Variables = std::map<std::string, std::string>;

Words job(Words more = {}) {
  Words words{"train",   "--dataset", "synthetic:blobs", "--hidden", "16", "--samples", "500",
              "--steps", "8",         "--log-every",     "2"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// Every number of the metric lines, in order: "name step".
std::vector<std::string> numbers_told(const std::string& out) {
  std::vector<std::string> told;
  std::istringstream lines(out);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("metric ", 0) != 0) continue;
    std::istringstream words(line);
    for (std::string word; words >> word;) {
      const std::string name = word.substr(0, word.find('='));
      if (word != "metric" && name != "step") told.push_back(name + " " + value(line, "step"));
    }
  }
  return told;
}

std::vector<std::string> numbers_taken(const FakeMlflow& server) {
  std::vector<std::string> taken;
  for (const auto& [name, number, step] : server.metrics()) {
    if (name.rfind("test_", 0) != 0) taken.push_back(name + " " + std::to_string(step));
  }
  return taken;
}

template <class List>
List sorted(List list) {
  std::sort(list.begin(), list.end());
  return list;
}

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::string read(const std::string& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("An MLflow server that answers 429, 500, garbage and nothing at times gets all of a job, from rank 0 alone") {
  std::atomic<int> asked = 0;
  FakeMlflow server([&](const HttpRequest&) -> std::optional<HttpAnswer> {
    switch (++asked) {
      case 2: return answer(429, "", "Retry-After: 0\r\n");
      case 4: return answer(500, "");
      case 6: return hang_up("garbage\r\n\r\n");
      case 8: return hang_up();
      default: return std::nullopt;
    }
  });
  const auto result = run_ranks(
      2, job(),
      {{"MLFLOW_TRACKING_URI", server.url()}, {"MLFLOW_EXPERIMENT_NAME", "e"}, {"MLFLOW_TRACKING_TOKEN", "hush-hush"}});
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  CHECK(sorted(numbers_taken(server)) == sorted(numbers_told(result.out)));
  CHECK(server.parameters().at("optimizer") == "sgd");
  CHECK(server.parameters().at("steps") == "8");
  CHECK(server.tags().at("world") == "2");
  CHECK(server.tags().at("weights_xxh3") == value(result_of(result), "weights_xxh3"));
  CHECK(server.status() == "FINISHED");
  CHECK(server.last_authorization() == "Bearer hush-hush");
  CHECK_FALSE(holds(result.out + result.err, "hush"));
}

TEST_CASE("A server that hangs, or is not there, changes nothing of the training") {
  const std::string alone = outcome_of(run_trireme(job()));
  HttpServer silent([](const HttpRequest&) { return silence(); });
  const ReservedPort nobody;
  const std::string url = GENERATE_REF(silent.url(), "http://" + nobody.address.to_string());
  const auto result = run_trireme(job(), {{"MLFLOW_TRACKING_URI", url}, {"TRIREME_TRACKING_TIMEOUT_S", "1"}});
  INFO(result.err);
  CHECK(outcome_of(result) == alone);
  CHECK(holds(result.err, "trireme train: MLflow: "));
  CHECK(holds(result.err, "were not delivered"));
}

TEST_CASE("How a job ended is told: a failure with its cause, an interruption as one") {
  FakeMlflow server;
  const TemporaryFolder folder;
  const Variables environment{{"MLFLOW_TRACKING_URI", server.url()}};
  SECTION("a loss that is not finite") {
    const auto result = run_ranks(2,
                                  {"train", "--dataset", "synthetic:linear", "--model", "linear", "--samples", "500",
                                   "--learning-rate", "1e30", "--steps", "30"},
                                  environment);
    CHECK(result.exit_code == 1);
    CHECK(server.status() == "FAILED");
    CHECK(holds(server.tags().at("failure"), "the loss is not finite at step"));
  }
  SECTION("a stop with a checkpoint") {
    const auto result = run_trireme(job({"--checkpoint-dir", folder.path() + "/c", "--stop-after", "3"}), environment);
    CHECK(result.exit_code == 143);
    CHECK(server.status() == "KILLED");
    CHECK(server.tags().count("failure") == 0);
  }
}

TEST_CASE("A job that was interrupted goes on with the run it had") {
  FakeMlflow server;
  const TemporaryFolder folder;
  const Variables environment{{"MLFLOW_TRACKING_URI", server.url()}};
  REQUIRE(run_trireme(job({"--checkpoint-dir", folder.path() + "/c", "--stop-after", "4"}), environment).exit_code ==
          143);
  REQUIRE(run_ranks(2, job({"--checkpoint-dir", folder.path() + "/c"}), environment).exit_code == 0);
  const auto calls = server.calls();
  CHECK(std::count(calls.begin(), calls.end(), "POST runs/create") == 1);
  CHECK(server.status() == "FINISHED");
  CHECK(server.tags().at("world") == "2");
}

TEST_CASE("A run that the platform began is left to it") {
  FakeMlflow server;
  const auto result = run_trireme(job(), {{"MLFLOW_TRACKING_URI", server.url()}, {"MLFLOW_RUN_ID", "theirs"}});
  REQUIRE(result.exit_code == 0);
  CHECK_FALSE(server.metrics().empty());
  for (const std::string& call : server.calls()) CHECK(call == "POST runs/log-batch");
}

TEST_CASE("Without trackers nothing is asked, and what cannot be one is said once") {
  FakeMlflow server;
  auto result = run_trireme(job({"--no-tracking"}), {{"MLFLOW_TRACKING_URI", server.url()}});
  CHECK(result.exit_code == 0);
  CHECK(server.calls().empty());
  result = run_ranks(2, job(), {{"MLFLOW_TRACKING_URI", "sqlite:///x"}});
  CHECK(result.exit_code == 0);
  CHECK(sorted_lines(result.err).size() == 2);  // what trains, and this
  CHECK(holds(result.err, "MLFLOW_TRACKING_URI: the tracking URI is of the kind 'sqlite:'"));
}

TEST_CASE("How long the end may wait for trackers is a number of seconds") {
  require_refusal(run_trireme(job(), {{"TRIREME_TRACKING_TIMEOUT_S", "soon"}}), "TRIREME_TRACKING_TIMEOUT_S");
}

TEST_CASE("A tracker's password does not stay where other processes can read it") {
  FakeMlflow server;
  Launched training(
      {"train", "--dataset", "synthetic:blobs", "--steps", "100000", "--log-every", "2", "--epochs", "100000"},
      {{"MLFLOW_TRACKING_URI", server.url()},
       {"MLFLOW_TRACKING_USERNAME", "hush"},
       {"MLFLOW_TRACKING_PASSWORD", "hush"},
       {"MLFLOW_TRACKING_TOKEN", "hush"}});
  training.await_out("metric ");
  const std::string environment = read("/proc/" + std::to_string(training.process()) + "/environ");
  CHECK(holds(environment, "MLFLOW_TRACKING_URI"));
  CHECK_FALSE(holds(environment, "hush"));
  training.signal(2);
  CHECK(training.wait().exit_code == 130);
  CHECK(server.status() == "KILLED");
  CHECK(server.last_authorization() == "Bearer hush");
}

TEST_CASE("No secret of the environment is in anything that a job writes, or sends beside the header") {
  const TemporaryFolder folder;
  std::atomic<bool> was_sent = false;  // the server has threads of its own
  FakeMlflow server([&](const HttpRequest& request) -> std::optional<HttpAnswer> {
    if (holds(request.target + request.body, "hush")) was_sent = true;
    return std::nullopt;
  });
  std::filesystem::create_directories(folder.path() + "/recorder");
  const std::string under = folder.path() + "/";
  const Variables environment{
      {"MLFLOW_TRACKING_URI", server.url()},       {"MLFLOW_TRACKING_TOKEN", "hush-1"},
      {"MLFLOW_TRACKING_PASSWORD", "hush-2"},      {"AZUREML_RUN_TOKEN", "hush-3"},
      {"AWS_SECRET_ACCESS_KEY", "hush-4"},         {"MY_SECRET", "hush-5"},
      {"TRIREME_JOB_KEY", "hush-6-hush-6-hush-6"}, {"TRIREME_RECORDER_DIR", under + "recorder"}};
  const Words places{"--trace", under + "trace", "--checkpoint-dir", under + "c",         "--checkpoint-every",
                     "2",       "--model-dir",   under + "m",        "--tensorboard-dir", under + "logs"};
  const auto trained = run_ranks(2, job(places), environment);
  CHECK(trained.exit_code == 0);
  const auto failed = run_ranks(
      2, job({"--learning-rate", "1e30", "--model", "linear", "--dataset", "synthetic:linear", "--log-format", "json"}),
      environment);
  CHECK(failed.exit_code != 0);
  const auto seen = run_trireme({"doctor"}, environment), seen_json = run_trireme({"doctor", "--json"}, environment);
  for (const auto& each : {trained, failed, seen, seen_json}) CHECK_FALSE(holds(each.out + each.err, "hush"));
  int files = 0;
  for (const auto& each : std::filesystem::recursive_directory_iterator(folder.path())) {
    if (!each.is_regular_file()) continue;
    ++files;
    INFO(each.path());
    CHECK_FALSE(holds(read(each.path()), "hush"));
  }
  CHECK(files >= 8);
  CHECK_FALSE(was_sent);
  CHECK(server.last_authorization() == "Bearer hush-1");
}

TEST_CASE("A launcher's own environment holds no secrets while its ranks train") {
  Launched running({"run", "-n", "2", TRIREME_PROGRAM, "train", "--dataset", "synthetic:blobs", "--steps", "100000",
                    "--log-every", "2", "--epochs", "100000"},
                   {{"MLFLOW_TRACKING_PASSWORD", "hush"}, {"MY_SECRET", "hush"}, {"OTHER", "told"}});
  running.await_out("metric ");
  const std::string environment = read("/proc/" + std::to_string(running.process()) + "/environ");
  CHECK(holds(environment, "told"));
  CHECK_FALSE(holds(environment, "hush"));
  running.signal(2);
  CHECK(running.wait().exit_code == 130);
}

TEST_CASE("TensorBoard's events of a job are in one file, rank 0's") {
  const TemporaryFolder folder;
  const auto result = run_ranks(2, job({"--tensorboard-dir", folder.path() + "/logs"}));
  REQUIRE(result.exit_code == 0);
  std::vector<std::string> files;
  for (const auto& each : std::filesystem::directory_iterator(folder.path() + "/logs")) files.push_back(each.path());
  REQUIRE(files.size() == 1);
  CHECK(holds(read(files[0]), "brain.Event:2"));
  CHECK(holds(read(files[0]), "val_accuracy"));
}
