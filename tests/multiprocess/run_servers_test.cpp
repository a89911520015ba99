// SPDX-License-Identifier: Apache-2.0
#include "multiprocess/launched.hpp"
#include "support/reserved_port.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <memory>

using namespace trireme::testing;
using Catch::Matchers::Contains;
using Words = std::vector<std::string>;

namespace {

Words job(const Words& flags, const std::string& scenario) {
  Words words{"run"};
  words.insert(words.end(), flags.begin(), flags.end());
  words.insert(words.end(), {"--", SERVERS_PROGRAM, scenario});
  return words;
}

}  // namespace

TEST_CASE("Servers run beside the ranks, with a role and a number and no rank, and their lines say whose they are") {
  const Result result = run_trireme(
      {"run", "-n", "2", "--servers", "2", "--", "sh", "-c",
       R"(echo "${TRIREME_ROLE:-worker} ${TRIREME_SERVER_INDEX:-none} of $TRIREME_SERVERS, rank ${RANK:-none}")"});
  REQUIRE(result.exit_code == 0);
  REQUIRE(sorted_lines(result.out) == Words{"[0] worker none of 2, rank 0", "[1] worker none of 2, rank 1",
                                            "[server 0] server 0 of 2, rank none",
                                            "[server 1] server 1 of 2, rank none"});
}

TEST_CASE("Servers and workers find each other, and servers end by themselves when all workers have") {
  const Result result = run_trireme(job({"-n", "3", "--servers", "2"}, "well"));
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  REQUIRE(sorted_lines(result.out) == Words{"[0] worked with 2", "[1] worked with 2", "[2] worked with 2",
                                            "[server 0] served 3", "[server 1] served 3"});
  REQUIRE(result.err.empty());
}

TEST_CASE("A server that is lost while no other has what it holds ends the job, and is named") {
  const Result result = run_trireme(job({"-n", "2", "--servers", "2"}, "alone"));
  REQUIRE(result.exit_code == 128 + SIGKILL);
  REQUIRE_THAT(result.err, Contains("trireme run: server 1 was killed by signal 9") &&
                               Contains("no other server had what it held"));
}

TEST_CASE("A lost server whose keys others hold is started again, and workers find its new life") {
  const Result result = run_trireme(job({"-n", "2", "--servers", "2"}, "replicated"));
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  REQUIRE_THAT(result.out, Contains("[0] server 1 is back") && Contains("[1] server 1 is back"));
  REQUIRE_THAT(result.err, Contains("server 1 was killed by signal 9") && Contains("started again (1 of 3)"));
}

TEST_CASE("Whichever server is killed in the midst of pushes, every counter is what was acknowledged") {
  const char victim = GENERATE('0', '1', '2');
  CAPTURE(victim);
  Words flags{"-n", "2", "--servers", "3"};
  if (victim == '0') flags.emplace_back("--tls");
  const Result result = run_trireme(job(flags, std::string("count:") + victim));
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  REQUIRE_THAT(result.out, Contains("[0] counted 800 with 0 wrong, a server lost") &&
                               Contains("[1] counted 800 with 0 wrong, a server lost"));
  REQUIRE_THAT(result.out, Contains(victim == '0' ? "through TLS" : "in the open"));
  const auto at = result.err.find("served again after ");
  REQUIRE(at != std::string::npos);
  WARN("server " << victim << ": " << result.err.substr(at, result.err.find('\n', at) - at));  // told, not judged
}

TEST_CASE("When the two servers that have some keys are killed together, whoever waits for those is told so at once") {
  const std::string restarts = GENERATE(std::string("0"), std::string("3"));
  CAPTURE(restarts);
  const Result result = run_trireme(job({"-n", "2", "--servers", "3", "--server-restarts", restarts}, "count:01"));
  INFO(result.err);
  REQUIRE(result.exit_code == 1);
  REQUIRE_THAT(result.err, Contains("are lost, as no server that is left has them") || Contains("they held is lost"));
}

TEST_CASE("A job of independent workers goes on without one that is lost, and its end says so") {
  const Result result = run_trireme(job({"-n", "3", "--servers", "1"}, "lose-worker"));
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  REQUIRE_THAT(result.out, Contains("[0] worked with 1") && Contains("[2] worked with 1") && !Contains("[1] worked"));
  REQUIRE_THAT(result.err,
               Contains("rank 1 was killed by signal 9") && Contains("the other ranks go on without it") &&
                   Contains("trireme run: the job is complete without rank 1, which was killed by signal 9"));
}

TEST_CASE("A job of independent workers goes on without one that alone was asked to stop, and its end says so") {
  const Result result = run_trireme(job({"-n", "3", "--servers", "1"}, "stop-worker"));
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  REQUIRE_THAT(result.out, Contains("[0] worked with 1") && Contains("[2] worked with 1") && !Contains("[1] worked"));
  REQUIRE_THAT(result.err,
               Contains("rank 1 ended with exit code 143; the other ranks go on without it") &&
                   Contains("trireme run: the job is complete without rank 1, which ended with exit code 143"));
}

TEST_CASE("The loss of worker 0, whose result it is, ends a job of independent workers too") {
  const Result result = run_trireme(job({"-n", "2", "--servers", "1"}, "lose-first"));
  REQUIRE(result.exit_code == 128 + SIGKILL);
  REQUIRE_THAT(result.err, Contains("rank 0 was killed by signal 9"));
}

TEST_CASE("Ranks that fail take the servers with them") {
  const Result result = run_trireme({"run", "-n", "2", "--servers", "1", "--", "sh", "-c",
                                     R"([ "$TRIREME_ROLE" = server ] && exec sleep 1000; exit 7)"});
  REQUIRE(result.exit_code == 7);
}

TEST_CASE("A signal that asks the job to stop reaches its servers") {
  Launched launched({"run", "-n", "1", "--servers", "1", "--", "sh", "-c",
                     R"(if [ "$TRIREME_ROLE" = server ]; then trap 'echo told; exit 0' TERM; echo serving
                        else trap 'exit 143' TERM; fi; while :; do sleep 0.05; done)"});
  launched.await_out("serving");
  launched.signal(SIGTERM);
  const Result result = launched.wait();
  REQUIRE(result.exit_code == 143);
  REQUIRE_THAT(result.out, Contains("[server 0] told"));
}

TEST_CASE("Servers on hosts of their own, as a platform starts them, find the ranks of one host or of several") {
  for (const int workers : {1, 2}) {
    CAPTURE(workers);
    const ReservedPort port;
    const std::string meeting = port.address.to_string();
    const std::string others = workers == 1 ? "" : R"("workerpool1": ["127.0.0.1:1"], )";
    const auto host = [&](const std::string& pool, int index) {
      const std::string cluster = R"({"cluster": {"workerpool0": [")" + meeting + R"("], )" + others +
                                  R"("workerpool2": ["127.0.0.1:2", "127.0.0.1:3"]}, "task": {"type": ")" + pool +
                                  R"(", "index": )" + std::to_string(index) + "}}";
      return std::make_unique<Launched>(
          Words{"entry", "train", "--", SERVERS_PROGRAM, "well"},
          std::map<std::string, std::string>{{"CLUSTER_SPEC", cluster},
                                             {"TRIREME_PROCS_PER_NODE", "1"},
                                             {"TRIREME_JOB_KEY", "sixteen characters and more"}});
    };
    std::vector<std::unique_ptr<Launched>> hosts;  // servers first: they wait for the others
    for (int server = 0; server < 2; ++server) hosts.push_back(host("workerpool2", server));
    hosts.push_back(host("workerpool0", 0));
    if (workers == 2) hosts.push_back(host("workerpool1", 0));
    for (auto& each : hosts) {
      const Result result = each->wait();
      CAPTURE(result.out, result.err);
      REQUIRE(result.exit_code == 0);
      const bool is_server = &each < &hosts[2];
      REQUIRE_THAT(result.out, Contains(is_server ? "served " + std::to_string(workers) : "worked with 2"));
    }
  }
}
