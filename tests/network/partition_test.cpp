// SPDX-License-Identifier: Apache-2.0
// Hosts that die, hang or are cut off while large reductions are under way: everybody ends, and names who it was.
#include "network/ranks.hpp"
#include "support/failures.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <csignal>

using namespace trireme::testing;
using Clock = std::chrono::steady_clock;

namespace {

/// A loop of 64 MiB all-reduces over links of 1 Gbit/s, under way on all hosts.
struct Reductions {
  Lab lab;
  std::vector<std::unique_ptr<Launched>> ranks;

  explicit Reductions(int hosts = 4, const std::string& timeout_s = "600")
      : lab({.hosts = hosts, .rate = "1gbit"}),
        ranks(start_ranks(lab, FAULT_PROGRAM, {"large"}, {{"TRIREME_TIMEOUT_S", timeout_s}})) {
    for (auto& rank : ranks) rank->await_out(" over tcp\n");
    for (auto& rank : ranks) rank->await_out(" reduces\n");
  }
};

std::string named(int rank) { return "rank " + std::to_string(rank) + " (" + Lab::name(rank) + ")"; }

}  // namespace

TEST_CASE("a rank that is killed on another host is named by all, at once") {
  if (!can_make_lab()) return;
  const int victim = GENERATE(0, 2);
  Reductions job;
  const auto begin = Clock::now();
  job.ranks[static_cast<std::size_t>(victim)]->signal(SIGKILL);
  for (int rank = 0; rank < 4; ++rank) {
    const Result result = job.ranks[static_cast<std::size_t>(rank)]->wait();
    CAPTURE(victim, rank, result.err);
    if (rank == victim) continue;
    REQUIRE(result.exit_code == 1);
    REQUIRE(has(result.err, "peer_lost: " + named(victim)));
    REQUIRE(has(result.err, "during all_reduce #"));
    REQUIRE(has(result.err, "'layer0.weight'"));
    REQUIRE(!has(result.err, "does not answer"));  // its kernel said so, nobody waited for a silence
  }
  REQUIRE(Clock::now() - begin < std::chrono::seconds(60));  // one when all is quiet; the operation's deadline is 600
}

TEST_CASE("a rank that is stopped on another host is named at the deadline, not before") {
  if (!can_make_lab()) return;
  Reductions job(4, "3");
  job.ranks[1]->signal(SIGSTOP);
  for (int rank : {0, 2, 3}) {
    const Result result = job.ranks[static_cast<std::size_t>(rank)]->wait();
    CAPTURE(rank, result.err);
    REQUIRE(result.exit_code == 1);
    REQUIRE(has(result.err, "timeout: " + named(1)));
    REQUIRE(has(result.err, "all_reduce #"));
  }
}

TEST_CASE("a host that is cut off is named by the others, and its own rank ends too") {
  if (!can_make_lab()) return;
  // With two hosts every connection has something under way, with four some are idle: they notice in different ways.
  const auto [hosts, victim, link_down] =
      GENERATE(table<int, int, bool>({{4, 0, false}, {4, 2, false}, {4, 2, true}, {2, 0, true}, {2, 1, false}}));
  CAPTURE(hosts, victim, link_down);
  Reductions job(hosts);
  const auto begin = Clock::now();
  if (link_down)
    job.lab.take_link_down(victim);
  else
    job.lab.cut_off(victim);
  for (int rank = 0; rank < hosts; ++rank) {
    const Result result = job.ranks[static_cast<std::size_t>(rank)]->wait();
    CAPTURE(rank, result.err);
    REQUIRE(result.exit_code == 1);
    REQUIRE(has(result.err, "peer_lost: "));
    if (rank == victim) continue;
    REQUIRE(has(result.err, "peer_lost: " + named(victim)));
    REQUIRE(has(result.err, "during all_reduce #"));
    REQUIRE(has(result.err, "'layer0.weight'"));
    REQUIRE(!has(result.err, "died"));  // nobody can know that
  }
  REQUIRE(Clock::now() - begin < std::chrono::seconds(60));  // five of silence, and room for a busy machine
}

TEST_CASE("where one of two hosts no longer reaches the other, all four give one reason, and it names one of the two") {
  if (!can_make_lab()) return;
  const int from = GENERATE(1, 2);
  const int to = 3 - from;
  CAPTURE(from, to);
  Reductions job;
  job.lab.cut_one_way(from, to);
  std::string first;
  for (int rank = 0; rank < 4; ++rank) {
    const Result result = job.ranks[static_cast<std::size_t>(rank)]->wait();
    CAPTURE(rank, result.err);
    REQUIRE(result.exit_code == 1);
    const std::string cause = result.err.substr(0, result.err.find(" [all_reduce"));  // then come its own circumstances
    if (rank == 0) first = cause;
    REQUIRE(cause == first);
    REQUIRE((has(cause, "peer_lost: " + named(from)) || has(cause, "peer_lost: " + named(to))));
    REQUIRE(has(cause, "during all_reduce #"));
  }
}

TEST_CASE("where the host that serves no longer reaches another, each side names the other") {
  if (!can_make_lab()) return;
  Reductions job;
  job.lab.cut_one_way(0, 3);
  for (int rank = 0; rank < 4; ++rank) {
    const Result result = job.ranks[static_cast<std::size_t>(rank)]->wait();
    CAPTURE(rank, result.err);
    REQUIRE(result.exit_code == 1);
    REQUIRE(has(result.err, "peer_lost: " + named(rank == 3 ? 0 : 3)));
    REQUIRE(has(result.err, "all_reduce #"));
  }
}
