// SPDX-License-Identifier: Apache-2.0
// `trireme train --sync ps` as whole jobs: workers and servers that are processes.
#include "multiprocess/launched.hpp"
#include "multiprocess/train_job.hpp"
#include "support/stride.hpp"
#include "support/temporary_folder.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>
#include <vector>

using namespace trireme::testing;
using Catch::Matchers::Contains;
using Words = std::vector<std::string>;

namespace {

Words joined(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// Two clouds of points that a small network tells apart, in steps of a few tens of microseconds.
Words blobs(const Words& more) {
  return joined({"--dataset", "synthetic:blobs", "--samples", "2000", "--features", "8", "--hidden", "16",
                 "--batch-size", "64", "--seed", "3", "--epochs", "2"},
                more);
}

/// Ranks and servers of `trireme train WORDS…`; each says its process number first.
Words job(int ranks, int servers, const Words& words) {
  Words all{"run", "-n", std::to_string(ranks)};
  if (servers > 0) all = joined(all, {"--servers", std::to_string(servers)});
  all = joined(all, {"--", "sh", "-c", R"(echo "pid $$ is up"; exec "$0" train "$@")", TRIREME_PROGRAM});
  return joined(all, words);
}

std::string hash_of(const Result& result) {
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  return value(result_of(result), "weights_xxh3");
}

std::string all_reduce(int ranks, const Words& words) { return hash_of(run_trireme(job(ranks, 0, blobs(words)))); }

/// Process number of the part whose lines begin with `prefix`.
pid_t pid_of(Launched& launched, const std::string& prefix) {
  launched.await_out(prefix + " pid ");  // lines come whole
  const auto at = launched.out().find(prefix + " pid ") + prefix.size() + 5;
  const auto pid = static_cast<pid_t>(std::strtol(launched.out().c_str() + at, nullptr, 10));
  REQUIRE(pid > 1);
  return pid;
}

/// Whether the command line of a process has this: its number may be another's by now.
bool has_word(pid_t process, const std::string& word) {
  std::ifstream file("/proc/" + std::to_string(process) + "/cmdline", std::ios::binary);
  const std::string line{std::istreambuf_iterator<char>(file), {}};
  return line.find(word) != std::string::npos;
}

const Words on_servers{"--sync", "ps"};

/// A job that computes for three seconds is still at work when one of its processes is killed, however long that takes to come.
/// Few long steps, as each costs what it takes to send it, too.
const Words long_run{"--epochs", "25"};
const Words slow_steps = joined(long_run, {"--lab-computation-ms", "4"});

}  // namespace

TEST_CASE("Bulk-synchronous servers give the bits of all_reduce, on two and three ranks") {
  for (const int ranks : {2, 3}) {
    for (const Words& rule : {Words{}, Words{"--optimizer", "adamw", "--clip-norm", "0.5"}}) {
      if (is_thin && rule.empty() != (ranks == 2)) continue;
      const Words words = joined({"--logical-shards", "4"}, rule);
      const std::string expected = all_reduce(ranks, words);
      for (const int servers : {0, 2}) {
        CAPTURE(ranks, rule, servers);
        CHECK(hash_of(run_trireme(job(ranks, servers, blobs(joined(words, on_servers))))) == expected);
        CHECK(hash_of(run_trireme(
                  job(ranks, servers, blobs(joined(words, joined(on_servers, {"--server-optimizer", "on"})))))) ==
              expected);
      }
    }
  }
}

TEST_CASE("Workers that do not wait for one another learn what there is to learn, and worker 0 says so") {
  for (const char* consistency : {"async", "ssp:2"}) {
    for (const int servers : {1, 0}) {
      CAPTURE(consistency, servers);
      const Result result = run_trireme(
          job(2, servers, blobs({"--sync", "ps", "--consistency", consistency, "--epochs", "8", "--momentum", "0.5"})));
      INFO(result.err << result.out);
      REQUIRE(result.exit_code == 0);
      const std::string line = result_of(result);
      CHECK(value(line, "world") == "2");
      CHECK(value(line, "sync") == consistency);
      CHECK(std::strtod(value(line, "test_accuracy").c_str(), nullptr) >= 0.9);
      CHECK(value(line, "weights_xxh3").size() == 16);
      if (servers == 1)
        CHECK_THAT(result.err, Contains("[server 0] trireme train: server 0 ends: 2 workers have left"));
    }
  }
}

TEST_CASE("A worker that comes late ends as well when the others have ended before") {
  const std::vector<std::pair<Words, int>> cases{
      {{"--consistency", "ssp:2"}, 1}, {{"--consistency", "ssp:2"}, 0}, {{"--backup-workers", "1"}, 1}};
  for (const auto& [how, servers] : cases) {
    CAPTURE(how, servers);
    Words words = job(2, servers, blobs(joined(how, {"--sync", "ps", "--steps", "200", "--epochs", "20"})));
    for (std::string& word : words) {
      if (word.starts_with("echo")) word = "test \"$RANK\" = 1 && sleep 1; " + word;  // many steps of the other one
    }
    const Result result = run_trireme(words);
    INFO(result.err);
    CHECK(result.exit_code == 0);
  }
}

TEST_CASE("One worker on servers is sequential training, asynchronous or not") {
  const std::string expected = all_reduce(1, {});
  CHECK(hash_of(run_trireme(job(1, 1, blobs({"--sync", "ps", "--consistency", "async"})))) == expected);
  CHECK(hash_of(run_trireme(joined({"train"}, blobs({"--sync", "ps", "--consistency", "async"})))) == expected);
}

TEST_CASE("SIGKILL of a server whose keys another holds changes no bit, and the job says what happened") {
  for (const char* rule : {"off", "on"}) {
    CAPTURE(rule);
    const Words words{"--logical-shards", "2"};
    const std::string expected = all_reduce(2, joined(words, long_run));
    Launched launched(
        job(2, 2, blobs(joined(joined(words, slow_steps), {"--sync", "ps", "--server-optimizer", rule}))));
    const pid_t victim = pid_of(launched, "[server 1]");
    launched.await_out("metric step=");
    REQUIRE(::kill(victim, SIGKILL) == 0);
    const Result result = launched.wait();
    INFO(result.err);
    CHECK(hash_of(result) == expected);
    CHECK_THAT(result.err, Contains("trireme run: server 1 was killed by signal 9"));
  }
}

TEST_CASE("SIGKILL of a server during asynchronous training loses nothing that matters") {
  Launched launched(
      job(2, 2, blobs(joined(slow_steps, {"--sync", "ps", "--consistency", "async", "--momentum", "0.5"}))));
  const pid_t victim = pid_of(launched, "[server 0]");
  launched.await_out("metric step=");
  REQUIRE(::kill(victim, SIGKILL) == 0);
  const Result result = launched.wait();
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  CHECK(std::strtod(value(result_of(result), "test_accuracy").c_str(), nullptr) >= 0.9);
}

TEST_CASE("SIGKILL of a worker that the others need not wait for leaves the rest at work, and the job's end says so") {
  const std::vector<std::pair<Words, int>> cases{{{"--consistency", "async"}, 1},
                                                 {{"--consistency", "async"}, 0},
                                                 {{"--consistency", "ssp:2"}, 1},
                                                 {{"--backup-workers", "1"}, 1}};
  for (const auto& [how, servers] : cases) {
    CAPTURE(how, servers);
    Launched launched(job(3, servers, blobs(joined(joined(how, slow_steps), {"--sync", "ps", "--momentum", "0.5"}))));
    const pid_t victim = pid_of(launched, "[2]");
    launched.await_out("metric step=");
    REQUIRE(::kill(victim, SIGKILL) == 0);
    const Result result = launched.wait();
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    CHECK(std::strtod(value(result_of(result), "test_accuracy").c_str(), nullptr) >= 0.9);
    CHECK_THAT(result.err, Contains("the job is complete without rank 2, which was killed by signal 9"));
  }
}

TEST_CASE("SIGTERM to one worker that the others need not wait for has it leave them, whatever code a stop has") {
  const TemporaryFolder folder;
  const std::vector<std::pair<Words, int>> cases{
      {{"--consistency", "async"}, 1},
      {{"--consistency", "async", "--checkpoint-dir", folder.path(), "--interrupted-exit-code", "85"}, 0},
      {{"--consistency", "ssp:2"}, 1}};
  for (const auto& [how, servers] : cases) {
    CAPTURE(how, servers);
    Words words = joined(how, slow_steps);
    words = blobs(joined(words, {"--sync", "ps", "--momentum", "0.5"}));
    Words all = job(3, servers, words);
    if (how.size() > 2) all.insert(all.begin() + 1, {"--interrupted-exit-code", "85"});
    Launched launched(all);
    const pid_t victim = pid_of(launched, "[2]");
    launched.await_out("metric step=");
    REQUIRE(::kill(victim, SIGTERM) == 0);
    const Result result = launched.wait();
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    CHECK(std::strtod(value(result_of(result), "test_accuracy").c_str(), nullptr) >= 0.9);
    CHECK_THAT(result.err, Contains("the other ranks go on without it"));
    CHECK_THAT(result.err, Contains("the job is complete without rank 2, which "));
  }
}

TEST_CASE("A worker that is stopped is named by those who are not to leave it behind") {
  Launched launched(
      job(3, 1, blobs(joined(slow_steps, {"--sync", "ps", "--consistency", "ssp:2", "--momentum", "0.5"}))),
      {{"TRIREME_TIMEOUT_S", "3"}});
  const pid_t victim = pid_of(launched, "[2]");
  launched.await_out(" epoch=10 ");  // by now it has joined
  REQUIRE(::kill(victim, SIGSTOP) == 0);
  const Result result = launched.wait();
  INFO(result.err);
  CHECK(result.exit_code == 1);
  CHECK_THAT(result.err, Contains("[0] trireme train: timeout: rank 0 has waited 3000 ms for the values of '"));
  CHECK_THAT(result.err, Contains("pushes of worker 2 are missing"));
}

TEST_CASE("SIGKILL of a worker whose server alone holds keys is the job's end, as the others cannot go on without") {
  Launched launched(job(3, 0,
                        blobs(joined(slow_steps, {"--sync", "ps", "--consistency", "async", "--server-replicas", "off",
                                                  "--momentum", "0.5"}))));
  const pid_t victim = pid_of(launched, "[2]");
  launched.await_out("metric step=");
  REQUIRE(::kill(victim, SIGKILL) == 0);
  const Result result = launched.wait();
  INFO(result.err);
  CHECK(result.exit_code != 0);
  CHECK_THAT(result.err, !Contains("go on without it"));
  CHECK_THAT(result.err, Contains("rank 2 was killed by signal 9"));
}

TEST_CASE(
    "A step does not wait for backup workers: what comes later is dropped, and who was late goes on with the others") {
  // 5 ms a step, and 25 for the last worker: whoever waited for it would have it take part in every step.
  const Result result = run_trireme(job(3, 1,
                                        blobs({"--sync", "ps", "--backup-workers", "1", "--epochs", "4", "--momentum",
                                               "0.5", "--lab-computation-ms", "5", "--lab-stragglers", "worker:2"})));
  INFO(result.err);
  const std::string line = result_of(result);
  CHECK(value(line, "sync") == "bsp");
  CHECK(std::strtod(value(line, "test_accuracy").c_str(), nullptr) >= 0.9);
  const auto number_before = [&](const std::string& words) {
    const auto end = result.err.find(words);
    REQUIRE(end != std::string::npos);
    const auto begin = result.err.find_last_not_of("0123456789", end - 1) + 1;
    return std::strtol(result.err.c_str() + begin, nullptr, 10);
  };
  const long steps = std::strtol(value(line, "steps").c_str(), nullptr, 10);
  const long dropped = number_before(" too late)"), without = number_before(" steps were made without it");
  CHECK_THAT(result.err, Contains("worker 2 was late: "));
  CHECK(dropped > 0);
  CHECK(without > 0);
  CHECK(without < steps);
}

TEST_CASE("Workers that hold keys beside dedicated servers change no bit, and the job says who holds how much") {
  const Words words{"--logical-shards", "4"};
  const std::string expected = all_reduce(2, words);
  for (const char* rule : {"off", "on"}) {
    const Result result = run_trireme(
        job(2, 2, blobs(joined(words, {"--sync", "ps", "--server-split", "optimal", "--server-optimizer", rule}))));
    INFO(result.err);
    CHECK(hash_of(result) == expected);
    CHECK_THAT(result.err, Contains("--server-split optimal: 2 workers hold") && Contains("2 spare servers"));
  }
}

TEST_CASE("16 asynchronous processes over TCP train Fashion-MNIST to 88 percent", "[.full]") {
  if (!std::filesystem::exists("/usr/share/datasets/fashion-mnist")) {
    WARN("dataset-fashion-mnist is not installed");
    return;
  }
  const Result result =
      run_trireme(job(16, 2,
                      {"--sync", "ps", "--consistency", "async", "--model", "mlp", "--hidden", "128", "--batch-size",
                       "512", "--learning-rate", "0.3", "--momentum", "0", "--epochs", "24", "--eval-every", "0"}),
                  {{"TRIREME_TRANSPORT", "tcp"}});
  INFO(result.err);
  const std::string line = result_of(result);
  CHECK(value(line, "world") == "16");
  CHECK(std::strtod(value(line, "test_accuracy").c_str(), nullptr) >= 0.88);
  WARN(line);
}

TEST_CASE("A job of independent workers goes on from the checkpoint that worker 0 made of what servers held") {
  const TemporaryFolder folder;
  const Words words = blobs({"--sync", "ps", "--consistency", "async", "--epochs", "6", "--optimizer", "adam",
                             "--checkpoint-dir", folder.path()});
  const Result first = run_trireme(job(2, 1, joined(words, {"--stop-after", "20steps"})));
  INFO(first.err);
  REQUIRE(first.exit_code == 143);
  const Result second = run_trireme(job(2, 1, words));
  INFO(second.err);
  REQUIRE(second.exit_code == 0);
  CHECK(value(result_of(second), "resumed_from") == "20");
  CHECK(std::strtod(value(result_of(second), "test_accuracy").c_str(), nullptr) >= 0.9);
}

TEST_CASE("A job with backup workers stops with a checkpoint, however many steps apart they are, and goes on from it") {
  const TemporaryFolder folder;
  const Words words =
      blobs({"--sync", "ps", "--backup-workers", "1", "--epochs", "6", "--momentum", "0.5", "--lab-computation-ms", "2",
             "--lab-stragglers", "each:0.2", "--checkpoint-dir", folder.path()});
  const Result first = run_trireme(job(3, 1, joined(words, {"--stop-after", "20steps"})));
  INFO(first.err);
  REQUIRE(first.exit_code == 143);
  const Result second = run_trireme(job(3, 1, words));
  INFO(second.err);
  REQUIRE(second.exit_code == 0);
  CHECK(std::strtol(value(result_of(second), "resumed_from").c_str(), nullptr, 10) >= 20);
  CHECK(std::strtod(value(result_of(second), "test_accuracy").c_str(), nullptr) >= 0.9);
}

TEST_CASE(
    "A backup worker whose peers are gone behind the stop of worker 0 stops as well, wherever it waits for servers") {
  for (int attempt = 0; attempt < 4; ++attempt) {
    CAPTURE(attempt);
    const TemporaryFolder folder;
    Launched launched(job(3, 1,
                          blobs({"--sync", "ps", "--backup-workers", "1", "--epochs", "200", "--checkpoint-dir",
                                 folder.path(), "--stop-after", "20steps"})));
    const pid_t victim = pid_of(launched, "[1]");
    launched.await_err("wrote the checkpoint of step ");
    if (has_word(victim, folder.path())) ::kill(victim, SIGKILL);  // unless it has stopped by itself
    const Result result = launched.wait();
    INFO(result.err);
    REQUIRE(result.exit_code == 143);
    CHECK_THAT(result.err, !Contains("rank 2 ended with exit code 1"));
  }
}

TEST_CASE("Bulk-synchronous training on servers goes on from a checkpoint with the bits of training without an end") {
  const TemporaryFolder folder;
  const Words words{"--optimizer", "adamw", "--logical-shards", "2"};
  const std::string expected = all_reduce(2, words);
  const Words with_servers =
      blobs(joined(words, {"--sync", "ps", "--server-optimizer", "on", "--checkpoint-dir", folder.path()}));
  const Result first = run_trireme(job(2, 2, joined(with_servers, {"--stop-after", "20steps"})));
  INFO(first.err);
  REQUIRE(first.exit_code == 143);
  CHECK(hash_of(run_trireme(job(2, 2, with_servers))) == expected);
}

TEST_CASE("A job on servers that is complete ends at once when it is started again, with the values it had") {
  const auto [servers, way] = GENERATE(table<int, Words>({{0, {"--consistency", "async"}},
                                                          {1, {"--consistency", "ssp:3"}},
                                                          {2, {"--server-optimizer", "on"}},
                                                          {2, {"--backup-workers", "1"}}}));
  CAPTURE(way, servers);
  const TemporaryFolder folder;
  const Words words = joined(blobs({"--sync", "ps", "--optimizer", "adam", "--checkpoint-dir", folder.path()}), way);
  const Result first = run_trireme(job(2, servers, words));
  INFO(first.err);
  REQUIRE(first.exit_code == 0);
  const Result second = run_trireme(job(2, servers, words));
  INFO(second.err);
  REQUIRE(second.exit_code == 0);
  CHECK_THAT(second.err, Contains("nothing is left to do"));
  CHECK(hash_of(second) == hash_of(first));
}

TEST_CASE("Servers and flags that do not fit are refused, in one line with exit code 2") {
  const auto refused = [](const Result& result, const std::string& expected) {
    INFO(result.err);
    CHECK(result.exit_code == 2);
    CHECK_THAT(result.err, Contains(expected));
    const auto first = result.err.find("trireme train: ");
    CHECK(result.err.find("trireme train: ", first + 1) ==
          std::string::npos);  // whoever else was started with the same flags
    CHECK_THAT(result.err, !Contains("no other server had"));
  };
  refused(run_trireme(job(2, 3, blobs({}))), "--sync ps");
  refused(run_trireme(job(2, 1, blobs({"--sync", "ps", "--servers", "2"}))), "started with 1");
  refused(run_trireme(job(2, 0, blobs({"--sync", "ps", "--servers", "2"}))), "started with none");
  refused(run_trireme(joined({"train"}, blobs({"--servers", "2"}))), "--servers needs --sync ps");
  for (const int servers : {0, 1})
    refused(run_trireme(job(2, servers, blobs({"--sync", "ps", "--backup-workers", "2"}))),
            "--backup-workers 2: this job has 2 workers, of whom one at least must be waited for");
}
