// SPDX-License-Identifier: Apache-2.0
// `trireme entry` as the first process of a container, and what it starts.
#include "multiprocess/launched.hpp"
#include "support/failures.hpp"
#include "support/reserved_port.hpp"
#include "trireme/platform/cluster_spec.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

using namespace trireme::testing;

namespace {

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

const std::string unshare = "/usr/bin/unshare";

/// False, with the reason as a warning, where no process 1 can be made.
bool can_make_containers() {
  if (::access(unshare.c_str(), X_OK) != 0) {
    WARN("skipped: " << unshare << " is not there");
    return false;
  }
  if (Launched({"--pid", "--fork", "--mount-proc", "/bin/true"}, {}, unshare).wait().exit_code == 0) return true;
  WARN("skipped: a process namespace cannot be made here (root may)");
  return false;
}

/// `trireme entry WORDS…` as process 1.
std::unique_ptr<Launched> as_first_process(const std::vector<std::string>& words) {
  std::vector<std::string> all{"--pid", "--fork", "--mount-proc", "--kill-child", TRIREME_PROGRAM, "entry"};
  all.insert(all.end(), words.begin(), words.end());
  return std::make_unique<Launched>(all, std::map<std::string, std::string>{}, unshare);
}

/// Whether the platform's node variables are understood: only then does an entry start ranks together with other hosts'.
bool knows_node_variables() {
  const auto level = trireme::platform::detect({{"PET_NNODES", "2"},
                                                {"PET_NODE_RANK", "1"},
                                                {"PET_NPROC_PER_NODE", "1"},
                                                {"PET_MASTER_ADDR", "127.0.0.1"},
                                                {"PET_MASTER_PORT", "7777"}})
                         .level;
  if (level == "node") return true;
  WARN("skipped: this version does not know PET_NODE_RANK");
  return false;
}

}  // namespace

TEST_CASE("What is no training is executed, and its exit code is the entry's") {
  const Result result = run_trireme({"entry", "sh", "-c", "echo \"$0 $1\"; exit 7", "a", "b c"});
  REQUIRE(result.exit_code == 7);
  REQUIRE(result.out == "a b c\n");
  REQUIRE(run_trireme({"entry", "sh", "-c", "kill -9 $$"}).exit_code == 137);
  const Result missing = run_trireme({"entry", "no-such-program"});
  REQUIRE(missing.exit_code == 127);
  REQUIRE(missing.err == "trireme entry: program 'no-such-program' not found on PATH\n");
}

TEST_CASE("Serving is refused by name") {
  const Result result = run_trireme({"entry", "serve"});
  REQUIRE(result.exit_code == 2);
  REQUIRE(result.err == "trireme entry: serve comes in a later version; this one has train, or runs a command\n");
}

TEST_CASE("Training is one process, or as many as are asked for, of our program or the user's") {
  REQUIRE(run_trireme({"entry", "train", "--", "sh", "-c", "echo $RANK of $WORLD_SIZE"}).out == "[0] 0 of 1\n");
  const Result two =
      run_trireme({"entry", "train", "--", "sh", "-c", "echo $RANK of $WORLD_SIZE"}, {{"TRIREME_PROCS_PER_NODE", "2"}});
  REQUIRE(sorted_lines(two.out) == std::vector<std::string>{"[0] 0 of 2", "[1] 1 of 2"});
  const Result named = run_trireme({"entry", "train", "--epochs=5"}, {{"TRIREME_PROGRAM", "echo"}});
  REQUIRE(named.out == "[0] --epochs=5\n");
  const Result ours = run_trireme({"entry", "--no-such-flag"});  // a platform that replaced "train" by flags
  REQUIRE(ours.exit_code == 2);
  REQUIRE(has(ours.err, "no-such-flag"));
  REQUIRE(run_trireme({"entry", "train", "--", "true"}, {{"TRIREME_PROCS_PER_NODE", "none"}}).exit_code == 2);
}

TEST_CASE("A process that has its rank already becomes the program, without a launcher") {
  const Result result = run_trireme(
      {"entry", "train", "--", "sh", "-c", "echo $RANK of $WORLD_SIZE"},
      {{"RANK", "0"}, {"WORLD_SIZE", "1"}, {"LOCAL_RANK", "0"}, {"MASTER_ADDR", "127.0.0.1"}, {"MASTER_PORT", "7777"}});
  REQUIRE(result.exit_code == 0);
  REQUIRE(result.out == "0 of 1\n");
}

TEST_CASE("A failed job leaves its cause where the platform looks, an interrupted one does not") {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder.path() + "/opt/ml/output");
  const std::string failure = folder.path() + "/opt/ml/output/failure";
  // The description is broken, so only the usual place is known.
  const Result broken = run_trireme({"entry", "--root", folder.path(), "train"}, {{"RANK", "1"}});
  REQUIRE(broken.exit_code == 2);
  REQUIRE(has(contents(failure), "WORLD_SIZE"));
  REQUIRE(has(broken.err, contents(failure)));
}

TEST_CASE("On a platform with a failure file it holds what the rank said last and how it ended, without secrets") {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder.path() + "/opt/ml/output");
  std::filesystem::create_directories(folder.path() + "/opt/ml/input/config");
  std::ofstream(folder.path() + "/opt/ml/input/config/resourceconfig.json")
      << R"({"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "eth0"})";
  const std::map<std::string, std::string> environment{
      {"TRIREME_ROOT", folder.path()}, {"TRAINING_JOB_NAME", "demo"}, {"MLFLOW_TRACKING_TOKEN", "tok-12345"}};
  trireme::platform::Environment described;
  for (const auto& [name, value] : environment) described.set(name, value);
  const auto spec = trireme::platform::detect(described);
  if (!spec.failure_file) {
    WARN("skipped: this version does not know the platform's failure file");
    return;
  }
  std::ofstream(*spec.failure_file) << "of a former start";
  const auto run = [&](const std::string& script) {
    return run_trireme({"entry", "train", "--", "sh", "-c", script}, environment);
  };
  REQUIRE(run("echo 'no data with tok-12345' >&2; exit 3").exit_code == 3);
  REQUIRE(contents(*spec.failure_file) == "no data with [secret] (rank 0 ended with exit code 3)");
  REQUIRE(run("exit 143").exit_code == 143);
  REQUIRE_FALSE(std::filesystem::exists(*spec.failure_file));
  REQUIRE(run("kill -9 $$").exit_code == 137);
  REQUIRE(contents(*spec.failure_file) == "rank 0 was killed by signal 9 (Killed)");
  REQUIRE(run("printf '%1996s tok-12345\\n' x >&2; exit 3").exit_code == 3);  // where long words are cut off
  REQUIRE_FALSE(has(contents(*spec.failure_file), "tok-"));
  REQUIRE(run_trireme({"entry", "train", "--", "sh", "-c", "exit 75", "--interrupted-exit-code=75"}, environment)
              .exit_code == 75);
  REQUIRE_FALSE(std::filesystem::exists(*spec.failure_file));
}

TEST_CASE("SIGTERM reaches the ranks, which end in order") {
  Launched entry(
      {"entry", "train", "--", "sh", "-c", "trap 'echo saved; exit 143' TERM; echo up; while :; do sleep 0.05; done"});
  entry.await_out("up");
  entry.signal(SIGTERM);
  const Result result = entry.wait();
  REQUIRE(result.exit_code == 143);
  REQUIRE(has(result.out, "saved"));
}

TEST_CASE("An entry that is killed takes what it has started with it") {
  Launched entry({"entry", "sh", "-c", "echo pid $$; exec sleep 1000"});
  entry.await_out("\n");
  const pid_t child = static_cast<pid_t>(std::stol(entry.out().substr(4)));
  entry.signal(SIGKILL);
  REQUIRE(eventually([&] { return !is_alive(child); }, std::chrono::seconds(20)));
}

TEST_CASE("As process 1 it reaps those whose parents are gone") {
  if (!can_make_containers()) return;
  // Until there is nobody but process 1 and this shell: the orphans have ended, and were reaped.
  const Result result =
      as_first_process(
          {"sh", "-c",
           "for i in 1 2 3; do (setsid sh -c 'sleep 0.1; echo orphan' & ); done; "
           "for i in $(seq 400); do set -- /proc/[0-9]*; [ $# -gt 2 ] || break; sleep 0.05; done; "
           "cat /proc/1/comm; for p in /proc/[0-9]*; do cut -d' ' -f3 $p/stat 2>/dev/null; done | grep -c Z; exit 9"})
          ->wait();
  CAPTURE(result.out, result.err);
  REQUIRE(result.exit_code == 9);
  REQUIRE(result.out == "orphan\norphan\norphan\ntrireme\n0\n");
}

TEST_CASE("As process 1 it hands signals on, and its exit code tells of the one that ended its child") {
  if (!can_make_containers()) return;
  REQUIRE(as_first_process({"sh", "-c", "kill -TERM 1; sleep 1000"})->wait().exit_code == 143);
  REQUIRE(as_first_process({"sh", "-c", "trap 'exit 4' USR1; kill -USR1 1; sleep 1; exit 5"})->wait().exit_code == 4);
  REQUIRE(as_first_process({"sh", "-c", "kill -9 $$"})->wait().exit_code == 137);
  const Result ranks = as_first_process({"train", "--", "sh", "-c", "kill -TERM 1; sleep 1000"})->wait();
  REQUIRE(ranks.exit_code == 143);
  REQUIRE(has(ranks.err, "interrupted by SIGTERM"));
}

TEST_CASE("Containers that each know their place among the hosts make one world") {
  if (!knows_node_variables()) return;
  const ReservedPort port;
  std::vector<std::unique_ptr<Launched>> containers;
  for (int node = 0; node < 2; ++node) {
    containers.push_back(std::make_unique<Launched>(
        std::vector<std::string>{"entry", "train", "--", "sh", "-c", "echo $RANK of $WORLD_SIZE"},
        std::map<std::string, std::string>{{"PET_NNODES", "2"},
                                           {"PET_NODE_RANK", std::to_string(node)},
                                           {"PET_NPROC_PER_NODE", std::to_string(node + 1)},
                                           {"PET_MASTER_ADDR", "127.0.0.1"},
                                           {"PET_MASTER_PORT", std::to_string(port.address.port)}}));
  }
  const Result first = containers[0]->wait(), second = containers[1]->wait();
  CAPTURE(first.err, second.err);
  REQUIRE(first.exit_code == 0);
  REQUIRE(second.exit_code == 0);
  REQUIRE(first.out == "[0] 0 of 3\n");
  REQUIRE(sorted_lines(second.out) == std::vector<std::string>{"[1] 1 of 3", "[2] 2 of 3"});
}
