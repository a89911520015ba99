// SPDX-License-Identifier: Apache-2.0
// Real processes that die, stop or contradict each other: the survivors end soon, and say who it was.
#include "multiprocess/launched.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <unistd.h>

using trireme::testing::Launched;
using trireme::testing::Result;

namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

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

std::set<std::string> traces() {
  std::set<std::string> found;
  for (const char* folder : {"/dev/shm", "/tmp"}) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      const std::string name = entry.path().filename();
      if (name.find("trireme") != std::string::npos) found.insert(entry.path());
    }
  }
  return found;
}

}  // namespace

TEST_CASE("kill -9 of one of four ranks ends all within two seconds, under its name and the operation's") {
  const auto transport = GENERATE(as<std::string>{}, "shm", "tcp");
  const int victim = GENERATE(0, 2);
  CAPTURE(transport, victim);
  const auto before = traces();
  Launched job(program("loop"), {{"TRIREME_TRANSPORT", transport}});
  const auto pids = processes(job);
  const auto killed_at = std::chrono::steady_clock::now();
  REQUIRE(::kill(pids.at(victim), SIGKILL) == 0);
  const Result result = job.wait();
  const auto took = std::chrono::steady_clock::now() - killed_at;
  CAPTURE(result.err);
  REQUIRE(result.exit_code == 128 + SIGKILL);
  REQUIRE(took < std::chrono::seconds(10));  // two on a quiet machine; this bound only tells it from the timers
  const std::string name = "rank " + std::to_string(victim);
  for (int rank = 0; rank < 4; ++rank) {
    if (rank == victim) continue;
    // Every survivor's own line names the victim and the operation.
    std::istringstream lines(result.err);
    bool said = false;
    for (std::string line; std::getline(lines, line);) {
      said |= line.rfind("[" + std::to_string(rank) + "] peer_lost", 0) == 0 && has(line, name) &&
              has(line, "all_reduce #") && has(line, "layer0.weight");
    }
    CAPTURE(rank);
    REQUIRE(said);
  }
  for (const auto& [rank, pid] : pids) REQUIRE(!trireme::testing::is_alive(pid));
  const auto after = traces();
  REQUIRE(
      std::includes(before.begin(), before.end(), after.begin(), after.end()));  // other runs may clean up meanwhile
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
