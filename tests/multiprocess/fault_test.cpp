// SPDX-License-Identifier: Apache-2.0
// Real processes that die, stop or contradict each other: the survivors end soon, and say who it was.
#include "multiprocess/launched.hpp"
#include "support/failures.hpp"
#include "support/reserved_port.hpp"
#include "trireme/net/host.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <unistd.h>

using trireme::testing::Launched;
using trireme::testing::Result;

using trireme::testing::has;

namespace {

std::vector<std::string> program(const std::string& mode) { return {"run", "-n", "4", "--", FAULT_PROGRAM, mode}; }

/// The process of every rank, once all worlds are open.
std::map<int, pid_t> processes(Launched& job) {
  std::map<int, pid_t> found;
  for (int rank = 0; rank < 4; ++rank) {
    const std::string mark = "[" + std::to_string(rank) + "] rank " + std::to_string(rank) + " pid ";
    job.await_out(mark);
    for (std::size_t line_end = 0; line_end == 0;) {  // the number may still be on its way
      const auto at = job.out().find(mark) + mark.size();
      const auto end = job.out().find(' ', at);
      if (end == std::string::npos) {
        job.await_out(" over ");
        continue;
      }
      found[rank] = static_cast<pid_t>(std::stol(job.out().substr(at, end - at)));
      line_end = end;
    }
  }
  return found;
}

/// A rank of the fault program that no launcher of ours starts; rank 0 serves at `port`.
std::unique_ptr<Launched> unlaunched(int rank, int world, int port, const std::string& mode,
                                     const std::string& argument = "", const std::string& transport = "auto") {
  return std::make_unique<Launched>(std::vector<std::string>{mode, argument},
                                    std::map<std::string, std::string>{{"RANK", std::to_string(rank)},
                                                                       {"LOCAL_RANK", std::to_string(rank)},
                                                                       {"WORLD_SIZE", std::to_string(world)},
                                                                       {"MASTER_ADDR", "127.0.0.1"},
                                                                       {"MASTER_PORT", std::to_string(port)},
                                                                       {"TRIREME_TRANSPORT", transport},
                                                                       {"TRIREME_JOB_KEY", "a key for these tests"}},
                                    FAULT_PROGRAM);
}

}  // namespace

TEST_CASE("kill -9 of one of four ranks ends all within two seconds, under its name and the operation's") {
  const auto transport = GENERATE(as<std::string>{}, "shm", "tcp");
  const int victim = GENERATE(0, 2);
  CAPTURE(transport, victim);
  const trireme::testing::LeftBehind left_behind;
  auto environment = left_behind.environment();
  environment["TRIREME_TRANSPORT"] = transport;
  Launched job(program("loop"), environment);
  const auto pids = processes(job);
  const auto killed_at = std::chrono::steady_clock::now();
  REQUIRE(::kill(pids.at(victim), SIGKILL) == 0);
  const Result result = job.wait();
  const auto took = std::chrono::steady_clock::now() - killed_at;
  CAPTURE(result.err);
  REQUIRE(result.exit_code == 128 + SIGKILL);
  REQUIRE(took < std::chrono::seconds(60));  // two on a quiet machine; this bound only tells it from the timers
  const std::string name = "rank " + std::to_string(victim);
  // "during all_reduce #17 'layer0.weight'": the same for all who speak of it.
  const auto during = [](const std::string& line) {
    const auto begin = line.find(" during all_reduce #");
    const std::string label = "'layer0.weight'";
    const auto end = begin == std::string::npos ? begin : line.find(label, begin);
    return end == std::string::npos ? std::string() : line.substr(begin, end + label.size() - begin);
  };
  std::string launcher_line;
  std::map<int, std::string> said;
  std::istringstream lines(result.err);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("trireme run: ", 0) == 0) launcher_line = line;
    for (int rank = 0; rank < 4; ++rank) {
      if (line.rfind("[" + std::to_string(rank) + "] peer_lost: " + name + " (", 0) == 0) said[rank] = line;
    }
  }
  const std::string operation = during(launcher_line);
  CAPTURE(launcher_line, operation);
  REQUIRE(!operation.empty());
  REQUIRE(launcher_line ==
          "trireme run: " + name + " was killed by signal 9 (Killed)" + operation + "; the other ranks failed with it");
  for (int rank = 0; rank < 4; ++rank) {
    if (rank == victim) continue;
    CAPTURE(rank, said[rank]);
    REQUIRE(has(said[rank], "killed by signal 9"));
    REQUIRE(during(said[rank]) == operation);
    REQUIRE(!has(said[rank], "operation #0"));
  }
  for (const auto& [rank, pid] : pids) REQUIRE(!trireme::testing::is_alive(pid));
  REQUIRE(left_behind.files() == std::vector<std::string>{});
}

TEST_CASE("a stopped rank is named at the deadline by the others, not the neighbours that wait for it") {
  const auto transport = GENERATE(as<std::string>{}, "shm", "tcp");
  CAPTURE(transport);
  Launched job(program("loop"), {{"TRIREME_TRANSPORT", transport}, {"TRIREME_TIMEOUT_S", "3"}});
  const auto pids = processes(job);
  REQUIRE(::kill(pids.at(1), SIGSTOP) == 0);
  const Result result = job.wait();
  CAPTURE(result.err);
  REQUIRE(result.exit_code != 0);
  for (int rank : {0, 2, 3}) {
    std::istringstream lines(result.err);
    bool said = false;
    for (std::string line; std::getline(lines, line);) {
      said |= line.rfind("[" + std::to_string(rank) + "] timeout: rank 1", 0) == 0;
    }
    CAPTURE(rank);
    REQUIRE(said);
  }
  for (const auto& [rank, pid] : pids) REQUIRE(!trireme::testing::is_alive(pid));
}

TEST_CASE("kill -9 of the launcher takes its ranks with it") {
  Launched job(program("loop"));
  const auto pids = processes(job);
  job.signal(SIGKILL);
  job.wait();
  REQUIRE(trireme::testing::eventually(
      [&] {
        return std::none_of(pids.begin(), pids.end(),
                            [](const auto& each) { return trireme::testing::is_alive(each.second); });
      },
      std::chrono::seconds(10)));
}

TEST_CASE("different counts on two ranks fail both, naming both sides") {
  const Result result = trireme::testing::run_trireme(program("mismatch"));
  CAPTURE(result.err);
  REQUIRE(result.exit_code == 1);
  REQUIRE(has(result.err, "mismatch"));
  REQUIRE(has(result.err, "rank 1 called all_reduce(count 100, f32"));
  REQUIRE(has(result.err, "called all_reduce(count 99, f32"));
}

TEST_CASE("after a mismatch the launcher tells who called what") {
  const Result result = trireme::testing::run_trireme(program("mismatch"));
  const auto line = result.err.find("trireme run: ");
  CAPTURE(result.err);
  REQUIRE(line != std::string::npos);
  const std::string said = result.err.substr(line);
  REQUIRE(has(said, "rank 1 called all_reduce(count 100, f32"));
  REQUIRE(has(said, "called all_reduce(count 99, f32"));
  REQUIRE(has(said, "; the other ranks failed with it"));
}

TEST_CASE("a rank that calls exit(0) while its World is open is named by all, and the job has failed") {
  const Result result = trireme::testing::run_trireme(program("exit0"));
  CAPTURE(result.err);
  REQUIRE(result.exit_code == 1);
  const std::string what =
      "rank 2 (" + trireme::net::host_name() + ") exited with code 0 without closing its world, during all_reduce #";
  for (const std::string survivor : {"[0] ", "[1] ", "[3] "}) REQUIRE(has(result.err, survivor + "peer_lost: " + what));
  REQUIRE(has(result.err, "trireme run: " + what));
}

TEST_CASE("a job whose last ranks end with 0 without closing their worlds has failed") {
  const Result result = trireme::testing::run_trireme(program("exit0_all"));
  CAPTURE(result.err);
  REQUIRE(result.exit_code == 1);
  REQUIRE(has(result.err, "exited with code 0 without closing its world"));
}

TEST_CASE("a job that is interrupted says so in one line, whatever its ranks made of it") {
  const auto [number, name, code] =
      GENERATE(table<int, std::string, int>({{SIGINT, "SIGINT", 130}, {SIGTERM, "SIGTERM", 143}}));
  Launched job(program("loop"));
  processes(job);
  job.signal(number);
  const Result result = job.wait();
  CAPTURE(result.err);
  REQUIRE(result.exit_code == code);
  const std::string line = "trireme run: interrupted by " + name + "\n";
  REQUIRE(result.err.size() >= line.size());
  REQUIRE(result.err.substr(result.err.size() - line.size()) == line);
  REQUIRE(result.err.find("trireme run: ") == result.err.rfind("trireme run: "));
}

TEST_CASE("without a launcher, ranks that were told different world sizes refuse each other at once, naming both") {
  const bool higher = GENERATE(true, false);
  const trireme::testing::ReservedPort reserved;
  const int port = reserved.address.port;
  auto zero = unlaunched(0, higher ? 3 : 2, port, "loop");
  auto other = unlaunched(higher ? 1 : 2, higher ? 2 : 3, port, "loop");
  const std::string what = higher ? "rank 1 was started with WORLD_SIZE 2, rank 0 with 3"
                                  : "rank 2 was started with WORLD_SIZE 3, rank 0 with 2";
  for (Launched* rank : {zero.get(), other.get()}) {
    const Result result = rank->wait();
    CAPTURE(result.err);
    REQUIRE(result.exit_code == 1);
    REQUIRE(has(result.err, "mismatch: " + what));
  }
}

TEST_CASE("under the launcher, a rank that is told another world size fails the job by that name") {
  const Result result = trireme::testing::run_trireme(
      {"run", "-n", "2", "--", "sh", "-c", "if [ $RANK = 1 ]; then export WORLD_SIZE=3; fi; exec \"$0\" loop",
       FAULT_PROGRAM});
  CAPTURE(result.err);
  REQUIRE(result.exit_code == 1);
  REQUIRE(has(result.err, "trireme run: rank 1 was started with WORLD_SIZE 3, the launcher with 2"));
}

TEST_CASE("a rank that leaves before the others are done is named") {
  const Result result = trireme::testing::run_trireme(program("leave"));
  CAPTURE(result.err);
  REQUIRE(result.exit_code != 0);
  REQUIRE(has(result.err, "rank 2"));
  REQUIRE(has(result.err, "left the world"));
}

TEST_CASE("a rank with another job key is refused in one line") {
  const Result result = trireme::testing::run_trireme(
      {"run", "-n", "2", "--", "sh", "-c",
       "if [ $RANK = 1 ]; then TRIREME_JOB_KEY=0123456789abcdef-another-key; fi; exec \"$0\" loop", FAULT_PROGRAM});
  CAPTURE(result.err);
  REQUIRE(result.exit_code != 0);
  REQUIRE(has(result.err, "wrong job key"));
}

TEST_CASE("without a launcher, rank 0 leaving in good order takes nobody along") {
  const trireme::testing::TemporaryFolder folder;
  const std::string end = folder.path() + "/end";
  const trireme::testing::ReservedPort reserved;
  const int port = reserved.address.port;
  std::vector<std::unique_ptr<Launched>> ranks;
  for (int rank = 0; rank < 3; ++rank) ranks.push_back(unlaunched(rank, 3, port, "without0", end));
  const Result first = ranks[0]->wait();
  CAPTURE(first.err);
  REQUIRE(first.exit_code == 0);
  std::ofstream(end) << "now";
  for (int rank : {1, 2}) {
    const Result result = ranks[static_cast<std::size_t>(rank)]->wait();
    CAPTURE(rank, result.err);
    REQUIRE(result.exit_code == 0);
    REQUIRE(has(result.out, "rank " + std::to_string(rank) + " done"));
  }
}

TEST_CASE("without a launcher, the death of rank 0 is named with its host and the operation") {
  const auto transport = GENERATE(as<std::string>{}, "shm", "tcp");
  CAPTURE(transport);
  const trireme::testing::ReservedPort reserved;
  const int port = reserved.address.port;
  std::vector<std::unique_ptr<Launched>> ranks;
  for (int rank = 0; rank < 3; ++rank) ranks.push_back(unlaunched(rank, 3, port, "loop", "", transport));
  for (int rank = 0; rank < 3; ++rank) ranks[static_cast<std::size_t>(rank)]->await_out(" over ");
  ranks[0]->signal(SIGKILL);
  for (int rank : {1, 2}) {
    const Result result = ranks[static_cast<std::size_t>(rank)]->wait();
    CAPTURE(rank, result.err);
    REQUIRE(result.exit_code == 1);
    REQUIRE(has(result.err, "peer_lost: rank 0 (" + trireme::net::host_name() + ")"));
    REQUIRE(has(result.err, "during all_reduce #"));
  }
}

TEST_CASE("a rank that dies or ends before it joined is named by all who wait for it") {
  const auto end = GENERATE(as<std::string>{}, "kill -9 $$", "exit 3", "exit 0");
  const Result result = trireme::testing::run_trireme(
      {"run", "-n", "3", "--", "sh", "-c", "if [ $RANK = 1 ]; then sleep 0.2; " + end + "; fi; exec \"$0\" loop",
       FAULT_PROGRAM});
  CAPTURE(end, result.err);
  REQUIRE(result.exit_code == (end == "exit 0" ? 1 : end == "exit 3" ? 3 : 137));
  for (const char* survivor : {"[0] peer_lost: rank 1 ", "[2] peer_lost: rank 1 "}) {
    REQUIRE(has(result.err, survivor + std::string("ended before it joined")));
  }
  if (end == "exit 0") REQUIRE(has(result.err, "trireme run: rank 1 ended before it joined; rank "));
}
