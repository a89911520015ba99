// SPDX-License-Identifier: Apache-2.0
#include "multiprocess/launched.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include <unistd.h>

using namespace trireme::testing;

namespace {

constexpr int ranks = 3;

/// A rank that says when its traps stand, then waits in short sleeps: a shell runs a trap between two commands.
std::vector<std::string> trapping(const std::string& traps) {
  return {"run", "-n", std::to_string(ranks), "--", "sh", "-c", traps + "; echo ready; while :; do sleep 0.02; done"};
}

void await_all_ready(Launched& launched) {
  for (int rank = 0; rank < ranks; ++rank) launched.await_out(prefix_of(rank) + "ready\n");
}

/// The letter of /proc/PID/stat, or 0.
char state_of(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string stat;
  std::getline(file, stat);
  auto name_end = stat.rfind(')');
  return name_end != std::string::npos && name_end + 2 < stat.size() ? stat[name_end + 2] : '\0';
}

/// Every process below `root`, found through /proc.
std::set<pid_t> descendants(pid_t root) {
  std::set<pid_t> found{root};
  for (bool grown = true; grown;) {
    grown = false;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      std::string name = entry.path().filename().string();
      if (name.find_first_not_of("0123456789") != std::string::npos) continue;
      std::ifstream file(entry.path() / "stat");
      std::string stat;
      if (!std::getline(file, stat)) continue;
      std::istringstream after_name(stat.substr(stat.rfind(')') + 1));
      char state = 0;
      pid_t parent = 0;
      after_name >> state >> parent;
      if (found.count(parent) > 0 && found.insert(std::stoi(name)).second) grown = true;
    }
  }
  found.erase(root);
  return found;
}

}  // namespace

TEST_CASE("Signals reach every rank and leave the launcher alone") {
  struct Case {
    int number;
    const char* name;
  };
  auto [number, name] = GENERATE(Case{SIGUSR1, "USR1"}, Case{SIGUSR2, "USR2"}, Case{SIGHUP, "HUP"},
                                 Case{SIGTERM, "TERM"}, Case{SIGINT, "INT"});
  Launched launched(trapping(std::string("trap 'echo caught; exit 0' ") + name));
  await_all_ready(launched);
  launched.signal(number);
  auto result = launched.wait();
  CAPTURE(name, result.err);
  REQUIRE(result.exit_code == 0);
  for (int rank = 0; rank < ranks; ++rank) {
    REQUIRE(result.out.find(prefix_of(rank) + "caught\n") != std::string::npos);
  }
}

TEST_CASE("A forwarded SIGTERM that ends the ranks is the launcher's exit code") {
  Launched launched(trapping("true"));
  await_all_ready(launched);
  launched.signal(SIGTERM);
  auto result = launched.wait();
  REQUIRE(result.exit_code == 128 + SIGTERM);
  REQUIRE(result.err == "trireme run: interrupted by SIGTERM\n");
}

TEST_CASE("A failure before the interruption stays the cause") {
  Launched launched(
      {"run", "-n", "2", "--failure-grace", "30", "--", "sh", "-c",
       "[ $RANK = 1 ] && { echo pid $$ is mine; exit 7; }; trap 'exit 0' INT; echo ready; while :; do sleep 0.02; done"});
  launched.await_out("[0] ready\n");
  launched.await_out(" is mine");
  const auto pid = static_cast<pid_t>(std::stoi(launched.out().substr(launched.out().find("pid ") + 4)));
  REQUIRE(eventually([&] { return state_of(pid) == '\0'; }, std::chrono::seconds(20)));
  launched.signal(SIGINT);
  auto result = launched.wait();
  REQUIRE(result.exit_code == 7);
}

TEST_CASE("A stopped and continued launcher stops and continues its ranks") {
  Launched launched(trapping("trap 'echo continued; exit 0' CONT"));
  await_all_ready(launched);
  launched.signal(SIGTSTP);
  auto stopped = [&] {
    int count = state_of(launched.process()) == 'T' ? 1 : 0;
    for (pid_t process : descendants(launched.process())) count += state_of(process) == 'T' ? 1 : 0;
    return count >= 1 + ranks;
  };
  REQUIRE(eventually(stopped, std::chrono::seconds(20)));
  launched.signal(SIGCONT);
  auto result = launched.wait();
  REQUIRE(result.exit_code == 0);
  REQUIRE(result.out.find("[2] continued\n") != std::string::npos);
}

TEST_CASE("A second interrupt kills ranks that ignore the first") {
  Launched launched(trapping("trap 'echo no' INT"));
  await_all_ready(launched);
  launched.signal(SIGINT);
  for (int rank = 0; rank < ranks; ++rank) launched.await_out(prefix_of(rank) + "no\n");
  launched.signal(SIGINT);
  auto result = launched.wait();
  REQUIRE(result.exit_code == 130);
}

TEST_CASE("Killing the launcher kills its ranks and all below them") {
  // Behind each rank's shell there is another one and a sleep; one rank ignores what can be ignored, one is stopped.
  Launched launched(
      {"run", "-n", "3", "--", "sh", "-c",
       "trap '' TERM HUP INT; sh -c 'sleep 1000; true' & echo ready; [ $RANK = 2 ] && kill -STOP $$; wait"});
  await_all_ready(launched);
  std::set<pid_t> all;
  // Three shells, three more, three sleeps, and the guard.
  REQUIRE(eventually([&] { return (all = descendants(launched.process())).size() >= 10; }, std::chrono::seconds(20)));
  launched.signal(SIGKILL);
  auto gone = [&] {
    for (pid_t process : all) {
      if (is_alive(process)) return false;
    }
    return true;
  };
  REQUIRE(eventually(gone, std::chrono::seconds(20)));
  REQUIRE(launched.wait().exit_code == 128 + SIGKILL);
}

TEST_CASE("A job leaves no process and no file behind, however it ends") {
  const LeftBehind left_behind;
  const char* script =
      GENERATE("exit 0", "[ $RANK = 0 ] && exit 1; sleep 1000", "[ $RANK = 1 ] && kill -9 $$; sleep 1000");
  Launched launched(
      {"run", "-n", "2", "--failure-grace", "0.05", "--", "sh", "-c", "echo ready; sleep 0.2; " + std::string(script)},
      left_behind.environment());
  launched.await_out("[0] ready\n");
  launched.await_out("[1] ready\n");
  auto all = descendants(launched.process());
  launched.wait();
  for (pid_t process : all) REQUIRE(eventually([&] { return !is_alive(process); }, std::chrono::seconds(20)));
  REQUIRE(left_behind.files() == std::vector<std::string>{});
}

TEST_CASE("Ranks that do not hear a forwarded SIGTERM are killed when their time is over") {
  auto words = trapping("trap '' TERM");
  words.insert(words.begin() + 1, {"--grace", "0.3"});
  Launched launched(words);
  await_all_ready(launched);
  launched.signal(SIGTERM);
  const Result result = launched.wait();
  INFO("stderr: " << result.err);
  CHECK(result.exit_code == 128 + SIGTERM);
}

TEST_CASE("SIGTERM again is forwarded again, and the ranks have the rest of their time") {
  // The second one comes while they save; what they write after it shows that nobody ended them.
  Launched launched(trapping(
      "asked=0; trap 'asked=$((asked + 1)); echo asked $asked; [ $asked = 1 ] || { echo saved; exit 143; }' TERM"));
  await_all_ready(launched);
  launched.signal(SIGTERM);
  for (int rank = 0; rank < ranks; ++rank) launched.await_out(prefix_of(rank) + "asked 1\n");
  launched.signal(SIGTERM);
  const Result result = launched.wait();
  INFO("stderr: " << result.err);
  for (int rank = 0; rank < ranks; ++rank) CHECK(result.out.find(prefix_of(rank) + "saved\n") != std::string::npos);
  CHECK(result.exit_code == 143);
  CHECK_THAT(result.err, Catch::EndsWith("trireme run: interrupted by SIGTERM\n"));  // after the shells' own words
}

TEST_CASE("SIGTERM again does not prolong the time of ranks that hang") {
  auto words = trapping("trap 'echo no' TERM");
  words.insert(words.begin() + 1, {"--grace", "0.5"});
  Launched launched(words);
  await_all_ready(launched);
  for (int again = 0; again < 3; ++again) launched.signal(SIGTERM);
  const Result result = launched.wait();
  CHECK(result.exit_code == 128 + SIGTERM);
}

TEST_CASE("Ranks that a forwarded SIGTERM ends leave the others the time to save") {
  // Rank 0 dies of the signal at once; the rest write for longer than they would have after a failure.
  Launched launched(
      {"run", "-n", "3", "--failure-grace", "0.05", "--", "sh", "-c",
       "[ $RANK = 0 ] || trap 'sleep 0.8; echo saved; exit 143' TERM; echo ready; while :; do sleep 0.02; done"});
  await_all_ready(launched);
  launched.signal(SIGTERM);
  const Result result = launched.wait();
  INFO("stderr: " << result.err);
  CHECK(result.out.find("[1] saved\n") != std::string::npos);
  CHECK(result.out.find("[2] saved\n") != std::string::npos);
  CHECK(result.exit_code == 143);
}

TEST_CASE("All ranks stopped in order: exit code 143, whatever signal asked them to, and no word of a failure") {
  Launched launched(trapping("trap 'exit 143' INT"));
  await_all_ready(launched);
  launched.signal(SIGINT);
  const Result result = launched.wait();
  CHECK(result.exit_code == 143);
  CHECK(result.err == "trireme run: interrupted by SIGINT\n");
}
