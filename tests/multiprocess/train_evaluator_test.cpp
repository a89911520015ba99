// SPDX-License-Identifier: Apache-2.0
#include "multiprocess/idx_folder.hpp"
#include "multiprocess/launched.hpp"
#include "multiprocess/train_job.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>
#include <thread>

using namespace trireme::testing;
using Catch::Matchers::Contains;
using Words = std::vector<std::string>;

namespace {

const std::map<std::string, std::string> as_evaluator{{"TRIREME_ROLE", "evaluator"}};

const IdxFolder& small_images() {
  static const IdxFolder images(90, 40);
  return images;
}

/// Three steps per epoch; with averaged weights and dropout, which evaluation must not have.
Words scored_job(const std::string& folder, const Words& more = {}) {
  Words words{"train",
              "--data-dir",
              small_images().path(),
              "--hidden",
              "16,8",
              "--batch-size",
              "44",
              "--epochs",
              "6",
              "--optimizer",
              "adamw",
              "--seed",
              "7",
              "--logical-shards",
              "4",
              "--dropout",
              "0.2",
              "--ema",
              "0.9",
              "--checkpoint-dir",
              folder};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// "step=3 epoch=1" -> "val_accuracy=… val_loss=…", of the lines that have both.
std::map<std::string, std::string> scores_in(const std::string& out) {
  std::map<std::string, std::string> scores;
  std::istringstream stream(out);
  for (std::string line; std::getline(stream, line);) {
    const auto score = line.find(" val_");
    if (line.rfind("metric ", 0) != 0 || score == std::string::npos) continue;
    const auto epoch = line.find(' ', line.find("epoch="));
    scores[line.substr(7, epoch - 7)] = line.substr(score, line.find(" samples_per_s=") - score);
  }
  return scores;
}

std::set<std::string> files_below(const std::string& path) {
  std::set<std::string> names;
  for (const auto& each : std::filesystem::recursive_directory_iterator(path)) names.insert(each.path().string());
  return names;
}

}  // namespace

TEST_CASE(
    "An evaluator scores each checkpoint with the trainer's own bits, and ends with 0 when training is complete") {
  const TemporaryFolder folder;
  Launched evaluator(scored_job(folder.path()), as_evaluator);
  std::string trained;
  for (const int step : {3, 6, 9}) {
    const Result part = run_ranks(2, scored_job(folder.path(), {"--stop-after", "3"}));
    REQUIRE(part.exit_code == 143);
    trained += part.out;
    evaluator.await_out("metric step=" + std::to_string(step) + " ");
  }
  const Result last = run_ranks(4, scored_job(folder.path()));
  REQUIRE(last.exit_code == 0);
  trained += last.out;
  const Result result = evaluator.wait();
  INFO("stdout: " << result.out << "\nstderr: " << result.err);
  CHECK(result.exit_code == 0);
  const auto ours = scores_in(result.out), theirs = scores_in(trained);
  CHECK(ours.size() == 4);
  for (const auto& [step, score] : ours) {
    INFO(step);
    REQUIRE(theirs.count(step) == 1);
    CHECK(score == theirs.at(step));
  }
  const std::string line = result_of(result);
  CHECK_THAT(line, Contains("role=evaluator") && Contains(" scored=4 step=18 "));
  CHECK(value(line, "weights_xxh3") == value(result_of(last), "weights_xxh3"));
}

TEST_CASE("An evaluator beside a job that removes checkpoints as fast as it writes them scores the last one") {
  const TemporaryFolder folder;
  const Words fast{"--epochs", "300", "--checkpoint-every", "1", "--checkpoint-keep", "1", "--batch-size", "90"};
  Launched first(scored_job(folder.path(), fast), as_evaluator), second(scored_job(folder.path(), fast), as_evaluator);
  const Result trained = run_ranks(2, scored_job(folder.path(), fast));
  REQUIRE(trained.exit_code == 0);
  for (Launched* each : {&first, &second}) {
    const Result result = each->wait();
    INFO("stdout: " << result.out << "\nstderr: " << result.err);
    CHECK(result.exit_code == 0);
    CHECK_THAT(result_of(result), Contains(" step=300 "));
    CHECK_THAT(result.err, !Contains("warning"));
    CHECK(value(result_of(result), "weights_xxh3") == value(result_of(trained), "weights_xxh3"));
  }
}

TEST_CASE("SIGTERM ends an evaluator with 0 when it has scored what there is, else with 143; it touches nothing") {
  const TemporaryFolder folder;
  const std::string missing = folder.path() + "/missing";
  Launched waiting(scored_job(missing), as_evaluator);
  REQUIRE(eventually([&] { return is_alive(waiting.process()); }, std::chrono::seconds(5)));
  std::this_thread::sleep_for(std::chrono::milliseconds(300));  // too early, and the signal's own action is as good
  waiting.signal(SIGTERM);
  CHECK(waiting.wait().exit_code == 143);
  CHECK_FALSE(std::filesystem::exists(missing));

  REQUIRE(run_trireme(scored_job(folder.path(), {"--stop-after", "5"})).exit_code == 143);
  const auto before = files_below(folder.path());
  Launched scoring(scored_job(folder.path()), as_evaluator);
  scoring.await_out("metric step=5 epoch=2 ");
  scoring.signal(SIGTERM);
  const Result result = scoring.wait();
  CHECK(result.exit_code == 0);
  CHECK_THAT(result_of(result), Contains(" scored=1 step=5 "));
  CHECK(files_below(folder.path()) == before);
}

TEST_CASE("An evaluator whose job is gone waits no longer than it was told") {
  const TemporaryFolder folder;
  const Words patient{"--evaluator-patience", "1s"};
  const Result nothing = run_trireme(scored_job(folder.path() + "/missing", patient), as_evaluator);
  CHECK(nothing.exit_code == 1);
  CHECK_THAT(nothing.err, Contains("for 1 s there has been no checkpoint in ") && Contains("--evaluator-patience"));

  REQUIRE(run_trireme(scored_job(folder.path(), {"--stop-after", "5"})).exit_code == 143);
  const Result result = run_trireme(scored_job(folder.path(), patient), as_evaluator);
  INFO("stdout: " << result.out << "\nstderr: " << result.err);
  CHECK(result.exit_code == 0);
  CHECK_THAT(result_of(result), Contains(" scored=1 step=5 "));
  CHECK_THAT(result.err, Contains("no checkpoint behind step 5 in "));
  require_refusal(run_trireme(scored_job(folder.path(), {"--evaluator-patience", "5"}), as_evaluator),
                  "--evaluator-patience is '5'");
}

TEST_CASE("An evaluator of tables, of running statistics and of 16 bits scores what the trainer does") {
  const TemporaryFolder folder;
  const std::vector<Words> jobs{Words{"train", "--dataset", "synthetic:blobs", "--samples", "400", "--model",
                                      "logistic", "--epochs", "2", "--checkpoint-dir", folder.path()},
                                Words{"train", "--dataset", "synthetic:linear", "--samples", "400", "--model", "linear",
                                      "--epochs", "2", "--checkpoint-dir", folder.path()},
                                Words{"train", "--data-dir", small_images().path(), "--model", "resnet", "--batch-size",
                                      "44", "--steps", "2", "--checkpoint-dir", folder.path()},
                                scored_job(folder.path(), {"--precision", "bf16"})};
  const Words& job = jobs[static_cast<std::size_t>(GENERATE(0, 1, 2, 3))];
  const Result trained = run_trireme(job);
  INFO("stderr: " << trained.err);
  REQUIRE(trained.exit_code == 0);
  const Result result = run_trireme(job, as_evaluator);
  INFO("stdout: " << result.out << "\nstderr: " << result.err);
  CHECK(result.exit_code == 0);
  const auto ours = scores_in(result.out), theirs = scores_in(trained.out);
  REQUIRE(ours.size() == 1);
  CHECK(ours.begin()->second == theirs.at(ours.begin()->first));
  CHECK(value(result_of(result), "weights_xxh3") == value(result_of(trained), "weights_xxh3"));
}

TEST_CASE("Roles that cannot be played are refused by name") {
  const TemporaryFolder folder;
  require_refusal(run_trireme(scored_job(folder.path()), {{"TRIREME_ROLE", "server"}}), "need --sync ps");
  require_refusal(run_trireme(scored_job(folder.path()), {{"TRIREME_ROLE", "spectator"}}), "TRIREME_ROLE=spectator");
  Words without = scored_job(folder.path());
  without.resize(without.size() - 2);
  require_refusal(run_trireme(without, as_evaluator), "needs --checkpoint-dir");
  REQUIRE(run_trireme(scored_job(folder.path(), {"--stop-after", "3"})).exit_code == 143);
  const Result other = run_trireme(scored_job(folder.path(), {"--hidden", "16"}), as_evaluator);
  CHECK(other.exit_code == 2);
  CHECK_THAT(other.err, Contains("--hidden was '16,8' there and is '16' here"));
}
