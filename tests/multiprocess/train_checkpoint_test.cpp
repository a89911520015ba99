// SPDX-License-Identifier: Apache-2.0
#include "multiprocess/idx_folder.hpp"
#include "multiprocess/launched.hpp"
#include "multiprocess/train_job.hpp"
#include "support/stride.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

using namespace trireme::testing;
using Catch::Matchers::Contains;
using Words = std::vector<std::string>;

namespace {

/// One data set for all cases: 90 samples, three steps per epoch, the last with 2 samples for 8 leaves.
const IdxFolder& images() {
  static const IdxFolder folder(90, 40);
  return folder;
}

/// Everything that has a state: AdamW, dropout, clipping, a schedule, an average of the weights, the best evaluation.
Words kept_job(const std::string& folder, const Words& more) {
  Words words{"train",
              "--data-dir",
              images().path(),
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
              "8",
              "--dropout",
              "0.2",
              "--clip-norm",
              "1",
              "--lr-schedule",
              "cosine",
              "--warmup-steps",
              "4",
              "--log-every",
              "1",
              "--ema",
              "0.9",
              "--keep-best"};
  if (!folder.empty()) words.insert(words.end(), {"--checkpoint-dir", folder});
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// The lines of metrics, without speeds.
std::vector<std::string> metrics_of(const std::string& out) {
  std::vector<std::string> lines;
  std::istringstream stream(out);
  for (std::string line; std::getline(stream, line);) {
    if (line.rfind("metric ", 0) == 0) lines.push_back(line.substr(0, line.find(" samples_per_s=")));
  }
  return lines;
}

struct Undisturbed {
  std::string outcome;
  std::vector<std::string> metrics;
};
const Undisturbed& undisturbed() {
  static const Undisturbed run = [] {
    const Result result = run_trireme(kept_job("", {}));
    return Undisturbed{outcome_of(result), metrics_of(result.out)};
  }();
  return run;
}

/// `n` ranks stop behind `step` steps, `m` ranks finish: with the weights, the losses of every step and so the samples of
/// every batch of the run that nothing disturbed.
void check_change(int n, int m, int step) {
  INFO(n << " ranks stop at step " << step << ", " << m << " go on");
  const TemporaryFolder folder;
  const Result first = run_ranks(n, kept_job(folder.path(), {"--stop-after", std::to_string(step)}));
  INFO("stdout: " << first.out << "\nstderr: " << first.err);
  REQUIRE(first.exit_code == 143);
  CHECK_THAT(result_of(first), Contains(" steps=" + std::to_string(step) + " ") && Contains(" interrupted=1 "));
  const Result second = run_ranks(m, kept_job(folder.path(), {}));
  CHECK(outcome_of(second) == undisturbed().outcome);
  CHECK(value(result_of(second), "resumed_from") == std::to_string(step));
  std::vector<std::string> metrics = metrics_of(first.out);
  for (const std::string& line : metrics_of(second.out)) metrics.push_back(line);
  CHECK(metrics == undisturbed().metrics);
}

void job_without_end(const std::string& folder, std::vector<std::string>& words, const Words& more) {
  const Words job = kept_job(folder, {"--epochs", "1000000", "--checkpoint-every", "0"});
  words.insert(words.end(), job.begin(), job.end());
  words.insert(words.end(), more.begin(), more.end());
}

}  // namespace

TEST_CASE("A job that n ranks stop and m ranks finish ends with the same weights, losses and batches") {
  const auto n = GENERATE(from_range(thinned({1, 3, 4}, {1, 3})));
  const auto m = GENERATE(from_range(thinned({1, 2, 8}, {2, 8})));
  check_change(n, m, 7);  // inside the third epoch
}

TEST_CASE("Every pair of 1, 2, 3, 4 and 8 ranks, at every step of an epoch", "[.full]") {
  const auto n = GENERATE(1, 2, 3, 4, 8);
  const auto m = GENERATE(1, 2, 3, 4, 8);
  const auto step = GENERATE(6, 7, 8);
  check_change(n, m, step);
}

TEST_CASE("A job that has ended says its result again when it is started again") {
  const TemporaryFolder folder;
  CHECK(outcome_of(run_ranks(2, kept_job(folder.path(), {}))) == undisturbed().outcome);
  CHECK(outcome_of(run_ranks(3, kept_job(folder.path(), {}))) == undisturbed().outcome);
}

namespace {

/// The ranks of a launcher, in no order.
std::vector<pid_t> ranks_of(pid_t launcher) {
  const std::string process = std::to_string(launcher);
  std::ifstream children("/proc/" + process + "/task/" + process + "/children");
  std::vector<pid_t> ranks;
  for (pid_t each = 0; children >> each;) {
    std::ifstream name("/proc/" + std::to_string(each) + "/cmdline");
    std::string words;
    std::getline(name, words);
    if (words.find(std::string("\0run\0", 5)) == std::string::npos) ranks.push_back(each);  // but for its guard
  }
  return ranks;
}

}  // namespace

TEST_CASE("A signal to a single rank stops all, or writes a checkpoint of all") {
  const TemporaryFolder folder;
  Words words{"run", "-n", "2", "--", TRIREME_PROGRAM};
  job_without_end(folder.path(), words, {});
  Launched launched(words);
  launched.await_out("metric step=5 ");
  const std::vector<pid_t> ranks = ranks_of(launched.process());
  REQUIRE(ranks.size() == 2);
  ::kill(ranks.back(), SIGUSR1);
  REQUIRE(eventually([&] { return std::filesystem::exists(folder.path() + "/journal/00000002"); },
                     std::chrono::seconds(30)));
  ::kill(ranks.back(), GENERATE(SIGTERM, SIGHUP));
  const Result result = launched.wait();
  INFO("stderr: " << result.err);
  CHECK(result.exit_code == 143);
  CHECK_THAT(result_of(result), Contains(" interrupted=1 "));
}

TEST_CASE("Fewer steps or epochs than were done already end the job, and take nothing away") {
  const TemporaryFolder folder;
  const Result whole = run_ranks(2, kept_job(folder.path(), {}));
  REQUIRE(whole.exit_code == 0);
  const std::string steps = value(result_of(whole), "steps");
  const Words fewer = GENERATE(Words{"--steps", "5"}, Words{"--epochs", "2"});
  const Result again = run_ranks(2, kept_job(folder.path(), fewer));
  INFO("stderr: " << again.err);
  CHECK(again.exit_code == 0);
  CHECK(value(result_of(again), "steps") == steps);
  CHECK_THAT(again.err, Contains("training was complete at step " + steps));
}

TEST_CASE("A start that is refused disturbs no job that is running") {
  const TemporaryFolder folder;
  Words words{"run", "-n", "2", "--", TRIREME_PROGRAM};
  job_without_end(folder.path(), words, {"--checkpoint-every", "5", "--logical-shards", "2"});
  Launched running(words);
  running.await_out("metric step=12 ");
  CHECK(run_ranks(4, kept_job(folder.path(), {"--logical-shards", "2"})).exit_code == 2);
  CHECK(run_trireme(kept_job(folder.path(), {"--warmup-steps", "1000"})).exit_code == 2);
  CHECK(run_trireme(kept_job(folder.path(), {"--batch-size-per-rank", "7"})).exit_code == 2);
  running.await_out("metric step=100 ");
  running.signal(SIGTERM);
  const Result result = running.wait();
  INFO("stderr: " << result.err);
  CHECK(result.exit_code == 143);
}

TEST_CASE("Other leaves than before are told, since they change the weights") {
  const TemporaryFolder folder;
  const auto job = [&](const Words& more) {
    Words words{"train",        "--data-dir", images().path(),    "--hidden",   "8",
                "--batch-size", "44",         "--checkpoint-dir", folder.path()};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  };
  REQUIRE(run_ranks(3, job({"--stop-after", "4"})).exit_code == 143);
  const Result result = run_ranks(2, job({"--stop-after", "4"}));
  CHECK(result.exit_code == 143);
  CHECK_THAT(result.err, Contains("batches are cut into 2 leaves now, into 3 before"));
}

TEST_CASE("SIGTERM, also twice, ends a job with a complete checkpoint and exit code 143, and it goes on from there") {
  const TemporaryFolder folder;
  Words words{"run", "-n", "3", "--", TRIREME_PROGRAM};
  job_without_end(folder.path(), words, {});
  Launched launched(words);
  launched.await_out("metric step=5 ");
  launched.signal(SIGTERM);
  launched.signal(SIGTERM);
  const Result result = launched.wait();
  INFO("stdout: " << result.out.substr(0, 2000) << "\nstderr: " << result.err);
  CHECK(result.exit_code == 143);
  const std::string line = result_of(result);
  CHECK_THAT(line, Contains(" stopped_by_signal=15 "));
  const std::string steps = value(line, "steps");
  CHECK_THAT(result.err, Contains("wrote the checkpoint of step " + steps));
  // The schedule of the job that goes on is another; so it is compared with one that does the same in one piece.
  const Result again = run_ranks(2, kept_job(folder.path(), {"--epochs", "1000000", "--stop-after", "1"}));
  CHECK(again.exit_code == 143);
  CHECK(value(result_of(again), "steps") == std::to_string(std::stoull(steps) + 1));
}

TEST_CASE("SIGUSR1 writes a checkpoint, and training goes on") {
  const TemporaryFolder folder;
  Words words{"run", "-n", "2", "--", TRIREME_PROGRAM};
  job_without_end(folder.path(), words, {});
  Launched launched(words);
  launched.await_out("metric step=5 ");
  launched.signal(SIGUSR1);
  REQUIRE(eventually([&] { return std::filesystem::exists(folder.path() + "/journal/00000002"); },
                     std::chrono::seconds(30)));
  launched.await_out("metric step=200 ");
  launched.signal(SIGKILL);
  launched.wait();
  const Result again = run_ranks(1, kept_job(folder.path(), {"--epochs", "1000000", "--stop-after", "1"}));
  CHECK(again.exit_code == 143);
  CHECK_THAT(again.err, Contains("goes on from step "));
}

TEST_CASE("A job whose processes are killed goes on from its last checkpoint to the same weights") {
  const TemporaryFolder folder;
  // The job cannot end before it is killed: rank 0's output is a pipe, and each step writes a line.
  Words words{"run", "-n", "2", "--", TRIREME_PROGRAM};
  const Words job = kept_job(folder.path(), {"--checkpoint-every", "4"});
  words.insert(words.end(), job.begin(), job.end());
  Launched launched(words);
  launched.await_out("metric step=9 ");
  launched.signal(SIGKILL);
  launched.wait();
  CHECK(outcome_of(run_ranks(4, job)) == undisturbed().outcome);
}

TEST_CASE("Another job's checkpoints are refused before anything is taken over") {
  const TemporaryFolder folder;
  REQUIRE(run_trireme(kept_job(folder.path(), {"--stop-after", "3"})).exit_code == 143);
  const auto entries = [&] {
    return std::distance(std::filesystem::directory_iterator(folder.path() + "/journal"), {});
  };
  const auto before = entries();
  for (const auto& [flags, named] : std::vector<std::pair<Words, std::string>>{
           {{"--hidden", "16,9"}, "--hidden was '16,8' there and is '16,9' here"},
           {{"--optimizer", "sgd"}, "--optimizer was 'adamw' there"},
           {{"--seed", "8"}, "--seed was '7' there"},
           {{"--batch-size", "30"}, "--batch-size was '44' there"},
           {{"--precision", "bf16"}, "--precision"}}) {
    const Result result = run_trireme(kept_job(folder.path(), flags));
    require_refusal(result, named);
    CHECK_THAT(result.err, Contains(folder.path()));
  }
  CHECK(entries() == before);
  // What may change is told, and taken.
  const Result other = run_trireme(kept_job(folder.path(), {"--epochs", "7", "--learning-rate", "0.01"}));
  CHECK(other.exit_code == 0);
  CHECK_THAT(other.err, Contains("told otherwise: --epochs 7 (before: 6), --learning-rate 0.01"));
}

TEST_CASE("A second start takes the folder over, and the first ends naming it") {
  const TemporaryFolder folder;
  Words words;
  job_without_end(folder.path(), words, {"--checkpoint-every", "5"});
  Launched first(words);
  first.await_out("metric step=6 ");
  const Result second = run_trireme(kept_job(folder.path(), {"--epochs", "1000000", "--stop-after", "20"}));
  CHECK(second.exit_code == 143);
  const Result result = first.wait();
  INFO("stderr: " << result.err);
  CHECK(result.exit_code == 1);
  CHECK_THAT(result.err, Contains("now belongs to attempt 2"));
}

TEST_CASE("--interrupted-exit-code and times are taken, and what is no interval refused") {
  const TemporaryFolder folder;
  const Result timed = run_ranks(
      2, kept_job(folder.path(), {"--epochs", "1000000", "--stop-after", "1s", "--interrupted-exit-code", "75"}));
  CHECK(timed.exit_code == 75);
  CHECK_THAT(result_of(timed), Contains(" interrupted=1 "));
  // The launcher takes the code for an orderly stop when it is told, and passes on what all ranks agree on.
  for (const Words& told : {Words{"--interrupted-exit-code", "75"}, Words{}}) {
    Words words{"run", "-n", "2"};
    words.insert(words.end(), told.begin(), told.end());
    words.insert(words.end(), {"--", TRIREME_PROGRAM});
    job_without_end(folder.path(), words, {"--interrupted-exit-code", "75"});
    Launched launched(words);
    launched.await_out("metric step=");
    launched.signal(SIGTERM);
    CHECK(launched.wait().exit_code == 75);
  }
  require_refusal(run_trireme(kept_job(folder.path(), {"--checkpoint-every", "10parsecs"})),
                  "--checkpoint-every is '10parsecs'");
  require_refusal(run_trireme(kept_job("", {"--stop-after", "10"})), "--stop-after needs --checkpoint-dir");
}

TEST_CASE("A folder that cannot be written ends the job in one line before training") {
  const TemporaryFolder folder;
  std::ofstream(folder.path() + "/file") << "x";
  require_refusal(run_trireme(kept_job(folder.path() + "/file", {})), folder.path() + "/file");
  require_refusal(run_trireme(kept_job(folder.path() + "/file/below", {})), folder.path() + "/file");
  require_refusal(run_trireme(kept_job("/proc/nothing", {})), "--checkpoint-dir: ");
}
