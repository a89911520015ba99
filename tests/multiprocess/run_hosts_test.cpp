// SPDX-License-Identifier: Apache-2.0
// Several launchers on one machine, each as if it were a host: one job.
#include "multiprocess/launched.hpp"
#include "support/failures.hpp"
#include "support/reserved_port.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <cstdlib>
#include <memory>

using namespace trireme::testing;

namespace {

/// A launcher for each of `ranks`, which says how many it starts.
struct Hosts {
  ReservedPort port;
  std::vector<std::unique_ptr<Launched>> launchers;

  std::vector<std::string> words(int node, int nnodes, int ranks, const std::vector<std::string>& flags,
                                 const std::vector<std::string>& program) const {
    std::vector<std::string> all{"run",
                                 "-n",
                                 std::to_string(ranks),
                                 "--nnodes",
                                 std::to_string(nnodes),
                                 "--node-rank",
                                 std::to_string(node),
                                 "--rendezvous",
                                 port.address.to_string()};
    all.insert(all.end(), flags.begin(), flags.end());
    all.emplace_back("--");
    all.insert(all.end(), program.begin(), program.end());
    return all;
  }
  void start(const std::vector<int>& ranks, const std::vector<std::string>& program,
             const std::vector<std::string>& flags = {}) {
    for (std::size_t node = 0; node < ranks.size(); ++node) {
      launchers.push_back(std::make_unique<Launched>(
          words(static_cast<int>(node), static_cast<int>(ranks.size()), ranks[node], flags, program), key()));
    }
  }
  void start_script(const std::vector<int>& ranks, const std::string& script,
                    const std::vector<std::string>& flags = {}) {
    start(ranks, {"sh", "-c", script}, flags);
  }
  static std::map<std::string, std::string> key() {
    return {{"TRIREME_JOB_KEY", "a key of sixteen or more characters"}};
  }
  static std::map<std::string, std::string> talking() {
    auto environment = key();
    environment["TRIREME_LOG"] = "info";
    return environment;
  }
  Launched& operator[](int node) { return *launchers[static_cast<std::size_t>(node)]; }
};

pid_t pid_in(const std::string& out, const std::string& before) {
  const auto at = out.find(before);
  REQUIRE(at != std::string::npos);
  return static_cast<pid_t>(std::strtol(out.c_str() + at + before.size(), nullptr, 10));
}

}  // namespace

TEST_CASE("Hosts that start different numbers of ranks number them through, and all end with 0") {
  Hosts hosts;
  hosts.start_script({1, 2, 1},
                     "echo $RANK of $WORLD_SIZE, $LOCAL_RANK of $LOCAL_WORLD_SIZE on $GROUP_RANK of $GROUP_WORLD_SIZE");
  const char* const expected[] = {"[0] 0 of 4, 0 of 1 on 0 of 3\n",
                                  "[1] 1 of 4, 0 of 2 on 1 of 3\n[2] 2 of 4, 1 of 2 on 1 of 3\n",
                                  "[3] 3 of 4, 0 of 1 on 2 of 3\n"};
  for (int node = 0; node < 3; ++node) {
    const Result result = hosts[node].wait();
    CAPTURE(node, result.err);
    REQUIRE(result.exit_code == 0);
    REQUIRE(result.err.empty());
    REQUIRE(sorted_lines(result.out) == sorted_lines(expected[node]));
  }
}

TEST_CASE("Ranks of several launchers open one world and train to the weights of one launcher") {
  const std::vector<std::string> train{TRIREME_PROGRAM,    "train", "--dataset", "synthetic:blobs",
                                       "--hidden",         "8",     "--epochs",  "1",
                                       "--logical-shards", "4"};
  std::vector<std::string> alone{"run", "-n", "4", "--"};
  alone.insert(alone.end(), train.begin(), train.end());
  const Result here = run_trireme(alone);
  CAPTURE(here.out, here.err);
  REQUIRE(here.exit_code == 0);
  const auto weights = [](const std::string& out) { return out.substr(out.find("weights_xxh3=")); };
  Hosts hosts;
  hosts.start({1, 2, 1}, train);
  for (int node = 0; node < 3; ++node) {
    const Result result = hosts[node].wait();
    CAPTURE(node, result.out, result.err);
    REQUIRE(result.exit_code == 0);
    if (node == 0) REQUIRE(weights(result.out) == weights(here.out));
  }
}

TEST_CASE("A rank that dies on one host is named on all, with its host, and gives all the exit code") {
  Hosts hosts;
  hosts.start_script({1, 2, 1}, "echo up $$ of $RANK; exec sleep 1000");
  for (int node = 0; node < 3; ++node) hosts[node].await_out("up");
  hosts[1].await_out("[2] up");
  REQUIRE(::kill(pid_in(hosts[1].out(), "[2] up "), SIGKILL) == 0);
  for (int node = 0; node < 3; ++node) {
    const Result result = hosts[node].wait();
    CAPTURE(node, result.err);
    REQUIRE(result.exit_code == 137);
    REQUIRE(has(result.err, "trireme run: rank 2 ("));
    REQUIRE(has(result.err, "was killed by signal 9 (Killed); the other ranks were ended"));
  }
}

TEST_CASE("A rank that fails on another host than node 0 gives all its exit code") {
  Hosts hosts;
  hosts.start_script({1, 1}, "[ $RANK = 1 ] && exit 7; exec sleep 1000");
  for (int node = 0; node < 2; ++node) {
    const Result result = hosts[node].wait();
    CAPTURE(node, result.err);
    REQUIRE(result.exit_code == 7);
    REQUIRE(has(result.err, "trireme run: rank 1 ("));
  }
}

TEST_CASE("A launcher that is killed takes its ranks with it, and all others name its host") {
  const int victim = GENERATE(0, 1);
  Hosts hosts;
  hosts.start_script({1, 2, 1}, "echo up $$; exec sleep 1000");
  for (int node = 0; node < 3; ++node) hosts[node].await_out("up");
  const pid_t rank = pid_in(hosts[victim].out(), "up ");
  hosts[victim].signal(SIGKILL);
  for (int node = 0; node < 3; ++node) {
    const Result result = hosts[node].wait();
    CAPTURE(victim, node, result.err);
    if (node == victim) continue;
    REQUIRE(result.exit_code == 137);  // to be started again, as what was killed
    REQUIRE(has(result.err, "trireme run: host "));
    REQUIRE(has(result.err, "(node " + std::to_string(victim) + ") is gone"));
  }
  REQUIRE(eventually([&] { return !is_alive(rank); }, std::chrono::seconds(20)));
}

TEST_CASE("SIGTERM to one launcher: ranks that stop in order end the job with 143 on all hosts") {
  const int asked = GENERATE(0, 1);
  Hosts hosts;
  // As ranks that agree on the step to stop at: who hears of it tells the others.
  const TemporaryFolder folder;
  hosts.start_script({1, 1}, "trap 'touch " + folder.path() + "/stop' TERM; echo up; while [ ! -e " + folder.path() +
                                 "/stop ]; do sleep 0.05; done; echo saved; exit 143");
  for (int node = 0; node < 2; ++node) hosts[node].await_out("up");
  hosts[asked].signal(SIGTERM);
  for (int node = 0; node < 2; ++node) {
    const Result result = hosts[node].wait();
    CAPTURE(asked, node, result.out, result.err);
    REQUIRE(result.exit_code == 143);
    REQUIRE(has(result.err, "trireme run: interrupted by SIGTERM\n"));
    REQUIRE(has(result.out, "saved"));
  }
}

TEST_CASE("Programs that know nothing of each other all get a stop signal once, whether one host got it or all") {
  const bool all = GENERATE(false, true);
  Hosts hosts;
  hosts.start_script(
      {1, 2}, "trap 'echo asked' TERM; echo up; n=0; while [ $n -lt 16 ]; do sleep 0.05; n=$((n+1)); done; exit 143");
  hosts[0].await_out("[0] up");
  for (const char* rank : {"[1] up", "[2] up"}) hosts[1].await_out(rank);  // either may be first
  for (int node = all ? 0 : 1; node < 2; ++node) hosts[node].signal(SIGTERM);
  for (int node = 0; node < 2; ++node) {
    const Result result = hosts[node].wait();
    CAPTURE(all, node, result.out, result.err);
    REQUIRE(result.exit_code == 143);
    REQUIRE(sorted_lines(result.out) ==
            sorted_lines(node == 0 ? "[0] up\n[0] asked\n" : "[1] up\n[1] asked\n[2] up\n[2] asked\n"));
  }
}

TEST_CASE("A host that comes late is waited for, and one that does not come is named") {
  Hosts hosts;
  hosts.launchers.push_back(
      std::make_unique<Launched>(hosts.words(1, 2, 1, {}, {"sh", "-c", "echo $RANK"}), Hosts::key()));
  ::usleep(300'000);
  hosts.launchers.push_back(
      std::make_unique<Launched>(hosts.words(0, 2, 1, {}, {"sh", "-c", "echo $RANK"}), Hosts::key()));
  REQUIRE(hosts[0].wait().exit_code == 0);
  REQUIRE(hosts[1].wait().exit_code == 0);

  Hosts others;
  for (int node : {0, 1}) {
    others.launchers.push_back(
        std::make_unique<Launched>(others.words(node, 3, 1, {"--join-timeout", "6"}, {"true"}), Hosts::key()));
  }
  for (int node : {0, 1}) {
    const Result result = others[node].wait();
    CAPTURE(node, result.err);
    REQUIRE(result.exit_code == 1);
    REQUIRE(has(result.err, "node 2 of 3 has not joined within"));
  }
}

TEST_CASE("A launcher that waits for other hosts ends at a signal") {
  const ReservedPort port;
  Launched launcher(
      {"run", "-n", "1", "--nnodes", "2", "--node-rank", "1", "--rendezvous", port.address.to_string(), "--", "true"},
      Hosts::talking());
  launcher.await_err("node 1 of 2 meets the others");
  launcher.signal(SIGTERM);
  const Result result = launcher.wait();
  REQUIRE(result.exit_code == 143);
  REQUIRE(has(result.err, "interrupted while the hosts were meeting"));
}

TEST_CASE("A signal to one of the launchers that wait for others ends them all in order") {
  const int asked = GENERATE(0, 1);
  Hosts hosts;
  for (int node : {0, 1}) {
    hosts.launchers.push_back(std::make_unique<Launched>(hosts.words(node, 3, 1, {}, {"true"}), Hosts::talking()));
  }
  for (int node : {0, 1}) hosts[node].await_err("node " + std::to_string(node) + " of 3 is there");
  hosts[asked].signal(SIGTERM);
  for (int node : {0, 1}) {
    const Result result = hosts[node].wait();
    CAPTURE(asked, node, result.err);
    REQUIRE(result.exit_code == 143);
    REQUIRE(has(result.err, node == asked ? "interrupted while the hosts were meeting"
                                          : "interrupted by SIGTERM on node " + std::to_string(asked) + " ("));
  }
}

TEST_CASE("Two jobs do not meet, though they are given the same address") {
  Hosts hosts;
  const std::vector<std::string> program{"true"};
  auto environment = Hosts::key();
  Launched first(hosts.words(0, 2, 1, {"--join-timeout", "6"}, program), environment);
  environment["TRIREME_JOB_KEY"] = "another key of sixteen or more characters";
  Launched second(hosts.words(1, 2, 1, {"--join-timeout", "20"}, program), environment);
  const Result stranger = second.wait();
  REQUIRE(stranger.exit_code == 2);
  REQUIRE(has(stranger.err, "wrong job key"));
  REQUIRE(has(first.wait().err, "node 1 of 2 has not joined"));
}

TEST_CASE("A program that one host does not have ends the job on all") {
  Hosts hosts;
  hosts.launchers.push_back(std::make_unique<Launched>(hosts.words(0, 2, 1, {}, {"sleep", "1000"}), Hosts::key()));
  // Found, but nothing that can be executed: that shows only when it is started.
  const TemporaryFolder folder;
  const std::string program = folder.path() + "/program";
  REQUIRE(std::system(("printf '#!/nowhere\\n' > " + program + "; chmod +x " + program).c_str()) == 0);
  hosts.launchers.push_back(std::make_unique<Launched>(hosts.words(1, 2, 1, {}, {program}), Hosts::key()));
  const Result other = hosts[1].wait(), first = hosts[0].wait();
  CAPTURE(first.err, other.err);
  REQUIRE(other.exit_code == 127);
  REQUIRE(first.exit_code == 1);
  REQUIRE(has(first.err, "(node 1): cannot start program"));
}

TEST_CASE("A program that one host cannot find is told to all, whichever is there first") {
  Hosts hosts;
  const int lacking = GENERATE(0, 1);
  for (int node : {0, 1}) {
    const std::string program = node == lacking ? "/nowhere/program" : "sleep";
    hosts.launchers.push_back(std::make_unique<Launched>(hosts.words(node, 2, 1, {}, {program, "1000"}), Hosts::key()));
  }
  for (int node : {0, 1}) {
    const Result result = hosts[node].wait();
    CAPTURE(lacking, node, result.err);
    REQUIRE(result.exit_code == (node == lacking ? 127 : 1));
    REQUIRE(has(result.err, "/nowhere/program"));
  }
}

TEST_CASE("Interrupted twice, the ranks of all hosts are killed") {
  Hosts hosts;
  hosts.start_script({1, 1}, "trap '' INT TERM; echo up; while :; do sleep 1; done");
  for (int node = 0; node < 2; ++node) hosts[node].await_out("up");
  hosts[1].signal(SIGINT);
  ::usleep(100'000);
  hosts[1].signal(SIGINT);
  for (int node = 0; node < 2; ++node) {
    const Result result = hosts[node].wait();
    CAPTURE(node, result.err);
    REQUIRE(result.exit_code == 130);
  }
}

TEST_CASE("An evaluator runs beside the ranks, and its failure is told but is not the job's") {
  const Result result = run_trireme(
      {"run", "-n", "2", "--evaluators", "1", "--", "sh", "-c",
       "if [ \"$TRIREME_ROLE\" = evaluator ]; then echo scoring without ${RANK-a rank}; exit 5; fi; sleep 0.5"});
  CAPTURE(result.err);
  REQUIRE(result.exit_code == 0);
  REQUIRE(result.out == "[evaluator 0] scoring without a rank\n");
  REQUIRE(result.err == "trireme run: evaluator 0 ended with exit code 5; the ranks go on without it\n");
}

TEST_CASE("An evaluator that goes on after the ranks has the grace to end, then SIGTERM") {
  const Result result = run_trireme(
      {"run", "-n", "1", "--evaluators", "1", "--grace", "0.3", "--", "sh", "-c",
       "[ \"$TRIREME_ROLE\" = evaluator ] || exit 0; trap 'echo asked; exit 0' TERM; while :; do sleep 0.05; done"});
  CAPTURE(result.err);
  REQUIRE(result.exit_code == 0);
  REQUIRE(result.out == "[evaluator 0] asked\n");
}
