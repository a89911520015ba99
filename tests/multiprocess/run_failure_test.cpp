// SPDX-License-Identifier: Apache-2.0
#include "multiprocess/launched.hpp"

#include <catch2/catch.hpp>

#include <filesystem>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace trireme::testing;
using Catch::Matchers::Contains;

namespace {

bool is_one_line(const std::string& text) { return !text.empty() && text.find('\n') == text.size() - 1; }

Result shell(int ranks, const std::string& script) {
  return run_trireme({"run", "-n", std::to_string(ranks), "--", "sh", "-c", script});
}

/// A listening socket of the test, for a port that is taken.
struct TakenPort {
  int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int port = 0;
  TakenPort() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(::bind(socket, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::listen(socket, 1) == 0);
    REQUIRE(::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port = ntohs(address.sin_port);
  }
  ~TakenPort() { ::close(socket); }
};

}  // namespace

TEST_CASE("The launcher ends with 0 when all ranks do, however long one takes") {
  auto result = shell(3, "[ $RANK = 1 ] && sleep 0.3; exit 0");
  REQUIRE(result.exit_code == 0);
  REQUIRE(result.err.empty());
}

TEST_CASE("The exit code of the rank that failed is the launcher's, and the others are ended") {
  auto result = shell(3, "[ $RANK = 1 ] && exit 3; exec sleep 1000");
  REQUIRE(result.exit_code == 3);
  REQUIRE(result.err == "trireme run: rank 1 ended with exit code 3; the other ranks were ended\n");
}

TEST_CASE("A rank that a signal ends gives 128 + n") {
  auto result = shell(3, "[ $RANK = 2 ] && kill -9 $$; exec sleep 1000");
  REQUIRE(result.exit_code == 137);
  REQUIRE(result.err == "trireme run: rank 2 was killed by signal 9 (Killed); the other ranks were ended\n");
}

TEST_CASE("Survivors that ignore SIGTERM or are stopped are killed all the same") {
  auto result =
      run_trireme({"run", "-n", "3", "--failure-grace", "0.1", "--", "sh", "-c",
                   "trap '' TERM; [ $RANK = 0 ] && exit 7; [ $RANK = 1 ] && kill -STOP $$; while :; do sleep 1; done"});
  REQUIRE(result.exit_code == 7);
  REQUIRE_THAT(result.err, Contains("rank 0 ended with exit code 7"));
}

TEST_CASE("Survivors have the grace to end by themselves") {
  auto result = run_trireme({"run", "-n", "2", "--failure-grace", "30", "--", "sh", "-c",
                             "trap 'echo terminated' TERM; [ $RANK = 0 ] && exit 7; sleep 0.3; echo saved"});
  REQUIRE(result.exit_code == 7);
  REQUIRE(result.out == "[1] saved\n");
}

TEST_CASE("A rank that stops of its own accord, with 143, leaves the others the time to save, and is no failure") {
  auto result = run_trireme({"run", "-n", "3", "--failure-grace", "0.05", "--", "sh", "-c",
                             "[ $RANK = 1 ] && exit 143; sleep 0.8; echo saved; exit 143"});
  REQUIRE(result.exit_code == 143);
  REQUIRE(result.err == "trireme run: interrupted\n");
  REQUIRE(sorted_lines(result.out) == std::vector<std::string>{"[0] saved", "[2] saved"});
}

TEST_CASE("Ranks that go on for ever after one has stopped with 143 are ended when their time is over") {
  auto result =
      run_trireme({"run", "-n", "2", "--grace", "0.3", "--", "sh", "-c", "[ $RANK = 1 ] && exit 143; exec sleep 1000"});
  REQUIRE(result.exit_code == 143);
  REQUIRE(result.err == "trireme run: interrupted; ranks that did not end in time were ended\n");
}

TEST_CASE("A failure after a rank has stopped with 143 is the cause") {
  auto result = run_trireme({"run", "-n", "3", "--", "sh", "-c",
                             "[ $RANK = 1 ] && exit 143; sleep 0.2; [ $RANK = 0 ] && exit 3; exec sleep 1000"});
  REQUIRE(result.exit_code == 3);
  REQUIRE(result.err == "trireme run: rank 0 ended with exit code 3; the other ranks were ended\n");
}

TEST_CASE("A program that is not there is one line and 127, one that cannot be run 126") {
  auto result = run_trireme({"run", "-n", "2", "--", "/no/such/program"});
  REQUIRE(result.exit_code == 127);
  REQUIRE(result.err == "trireme run: program '/no/such/program' not found\n");
  result = run_trireme({"run", "-n", "2", "--", "no-such-program"});
  REQUIRE(result.exit_code == 127);
  REQUIRE(result.err == "trireme run: program 'no-such-program' not found on PATH\n");
  result = run_trireme({"run", "-n", "2", "--", "/etc/passwd"});
  REQUIRE(result.exit_code == 126);
  REQUIRE(is_one_line(result.err));
}

TEST_CASE("Bad flags are one line on stderr and exit code 2") {
  auto words = GENERATE(std::vector<std::string>{}, std::vector<std::string>{"frobnicate"},
                        std::vector<std::string>{"--frobnicate"}, std::vector<std::string>{"run"},
                        std::vector<std::string>{"run", "-n", "0", "--", "true"},
                        std::vector<std::string>{"run", "-n", "x", "--", "true"},
                        std::vector<std::string>{"run", "-n", "2", "--frobnicate", "--", "true"},
                        std::vector<std::string>{"run", "-n", "2", "--max-restarts", "3", "--", "true"},
                        std::vector<std::string>{"run", "-n", "2", "--nnodes", "2", "--", "true"},
                        std::vector<std::string>{"run", "-n", "2", "--log-dir", "/proc/nowhere", "--", "true"},
                        std::vector<std::string>{"doctor", "--frobnicate"});
  auto result = run_trireme(words);
  CAPTURE(words, result.err);
  REQUIRE(result.exit_code == 2);
  REQUIRE(result.out.empty());
  REQUIRE(is_one_line(result.err));
  REQUIRE(result.err.rfind("trireme", 0) == 0);
}

TEST_CASE("-n 0 says what is wrong with it") {
  REQUIRE(run_trireme({"run", "-n", "0", "--", "true"}).err == "trireme run: -n must be at least 1, got 0\n");
}

TEST_CASE("A rendezvous on a taken port is one line and exit code 2, and starts no rank") {
  TakenPort taken;
  std::string address = "127.0.0.1:" + std::to_string(taken.port);
  auto result = run_trireme({"run", "-n", "2", "--rendezvous", address, "--", "echo", "started"});
  REQUIRE(result.exit_code == 2);
  REQUIRE(result.out.empty());
  REQUIRE(is_one_line(result.err));
  REQUIRE_THAT(result.err, Contains("--rendezvous " + address));
}

TEST_CASE("A job key that is too short is refused without being printed") {
  auto result = run_trireme({"run", "-n", "1", "--", "true"}, {{"TRIREME_JOB_KEY", "hunter2"}});
  REQUIRE(result.exit_code == 2);
  REQUIRE(is_one_line(result.err));
  REQUIRE_THAT(result.err, Contains("TRIREME_JOB_KEY"));
  REQUIRE(result.err.find("hunter2") == std::string::npos);
}

TEST_CASE("--help and --version are no errors") {
  for (const auto& words :
       {std::vector<std::string>{"--help"}, {"--version"}, {"run", "--help"}, {"doctor", "--help"}}) {
    auto result = run_trireme(words);
    REQUIRE(result.exit_code == 0);
    REQUIRE_FALSE(result.out.empty());
    REQUIRE(result.err.empty());
  }
}
