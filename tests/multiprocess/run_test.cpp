// SPDX-License-Identifier: Apache-2.0
#include "multiprocess/launched.hpp"
#include "trireme/net/socket.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <set>
#include <sstream>

#include <sched.h>

using namespace trireme::testing;

namespace {

/// The variables that `env` printed, of the lines of one rank.
std::map<std::string, std::string> variables_of(const std::string& out, int rank) {
  std::map<std::string, std::string> variables;
  std::string prefix = prefix_of(rank);
  std::istringstream stream(out);
  for (std::string line; std::getline(stream, line);) {
    if (line.rfind(prefix, 0) != 0) continue;
    auto equals = line.find('=');
    if (equals != std::string::npos)
      variables[line.substr(prefix.size(), equals - prefix.size())] = line.substr(equals + 1);
  }
  return variables;
}

}  // namespace

TEST_CASE("Ranks are told who they are and where to meet") {
  auto result = run_trireme({"run", "-n", "3", "--", "env"});
  REQUIRE(result.exit_code == 0);
  REQUIRE(result.err.empty());
  std::set<std::string> meeting_points, stores, keys, jobs;
  for (int rank = 0; rank < 3; ++rank) {
    auto variables = variables_of(result.out, rank);
    REQUIRE(variables["RANK"] == std::to_string(rank));
    REQUIRE(variables["LOCAL_RANK"] == std::to_string(rank));
    REQUIRE(variables["WORLD_SIZE"] == "3");
    REQUIRE(variables["LOCAL_WORLD_SIZE"] == "3");
    REQUIRE(variables["GROUP_RANK"] == "0");
    REQUIRE(variables["MASTER_ADDR"] == "127.0.0.1");
    REQUIRE(variables["OMP_NUM_THREADS"] == "1");
    REQUIRE(variables["OPENBLAS_NUM_THREADS"] == "1");
    REQUIRE(variables["TRIREME_STORE"] == "1");
    REQUIRE(variables["TRIREME_PROGRESS"] == "plain");
    REQUIRE(variables["TRIREME_JOB_KEY"].size() == 64);
    REQUIRE_FALSE(variables["TRIREME_JOB_ID"].empty());
    stores.insert(variables["TRIREME_STORE_ADDR"]);
    meeting_points.insert(variables["MASTER_PORT"]);
    keys.insert(variables["TRIREME_JOB_KEY"]);
    jobs.insert(variables["TRIREME_JOB_ID"]);
  }
  REQUIRE(meeting_points.size() == 1);
  REQUIRE(std::stoi(*meeting_points.begin()) > 0);
  REQUIRE(stores.size() == 1);
  REQUIRE(stores.begin()->rfind("127.0.0.1:", 0) == 0);
  REQUIRE(*stores.begin() != "127.0.0.1:" + *meeting_points.begin());
  REQUIRE(keys.size() == 1);
  REQUIRE(jobs.size() == 1);
}

TEST_CASE("Two jobs have different keys; a key of the user is kept") {
  auto key_of = [](const std::map<std::string, std::string>& environment) {
    return run_trireme({"run", "-n", "1", "--", "sh", "-c", "echo $TRIREME_JOB_KEY"}, environment).out;
  };
  REQUIRE(key_of({}) != key_of({}));
  std::string hex(64, 'a');
  REQUIRE(key_of({{"TRIREME_JOB_KEY", hex}}) == "[0] " + hex + "\n");
}

TEST_CASE("The user's thread settings are left alone") {
  auto result = run_trireme({"run", "-n", "1", "--", "sh", "-c", "echo $OMP_NUM_THREADS $OPENBLAS_NUM_THREADS"},
                            {{"OMP_NUM_THREADS", "5"}});
  REQUIRE(result.out == "[0] 5 1\n");
}

TEST_CASE("Ranks read nothing from stdin and hold no descriptor of the launcher") {
  const std::string list = "cat; echo end of input; ls /proc/$$/fd";
  // What the test itself hands down, without a launcher in between.
  std::FILE* direct = ::popen(("sh -c '" + list + "' </dev/null").c_str(), "r");
  REQUIRE(direct != nullptr);
  std::string expected;
  char line[256];
  while (std::fgets(line, sizeof line, direct) != nullptr) expected += std::string("[0] ") + line;
  ::pclose(direct);

  auto result = run_trireme({"run", "-n", "1", "--", "sh", "-c", list});
  REQUIRE(result.exit_code == 0);
  REQUIRE(sorted_lines(result.out) == sorted_lines(expected));
}

TEST_CASE("--bind core gives the ranks one processor each, in turn") {
  cpu_set_t own;
  CPU_ZERO(&own);
  REQUIRE(::sched_getaffinity(0, sizeof own, &own) == 0);
  auto processors = static_cast<std::size_t>(CPU_COUNT(&own));
  auto result =
      run_trireme({"run", "-n", "3", "--bind", "core", "--", "grep", "Cpus_allowed_list", "/proc/self/status"});
  REQUIRE(result.exit_code == 0);
  std::set<std::string> used;
  for (const std::string& line : sorted_lines(result.out)) {
    std::string processor = line.substr(line.find('\t') + 1);
    REQUIRE(processor.find_first_not_of("0123456789") == std::string::npos);
    used.insert(processor);
  }
  REQUIRE(used.size() == std::min<std::size_t>(processors, 3));
}

TEST_CASE("The program trireme needs no PATH") {
  auto result = run_trireme({"run", "-n", "2", "--", "trireme", "--version"}, {{"PATH", "/nowhere"}});
  REQUIRE(result.exit_code == 0);
  REQUIRE(sorted_lines(result.out).size() == 2);
  REQUIRE(result.out.find("[1] trireme ") != std::string::npos);
}

TEST_CASE("The port that other libraries meet at is free while the ranks run") {
  Launched job({"run", "-n", "1", "--", "sh", "-c", "echo port $MASTER_PORT.; exec sleep 60"});
  job.await_out(".");
  const std::string& out = job.out();
  const int port = std::stoi(out.substr(out.find("port ") + 5));
  REQUIRE_NOTHROW(trireme::net::listen_tcp({"127.0.0.1", static_cast<std::uint16_t>(port)}));
  job.signal(SIGTERM);
  job.wait();
}

TEST_CASE("--join-timeout is handed down to the ranks") {
  auto result =
      run_trireme({"run", "-n", "1", "--join-timeout", "2.5", "--", "sh", "-c", "echo $TRIREME_JOIN_TIMEOUT_S"});
  REQUIRE(result.out == "[0] 2.500\n");
  result = run_trireme({"run", "-n", "1", "--join-timeout", "0", "--", "true"});
  REQUIRE(result.exit_code == 2);
  REQUIRE(result.err.find("--join-timeout must be above 0") != std::string::npos);
}
