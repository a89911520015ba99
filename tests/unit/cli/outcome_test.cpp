// SPDX-License-Identifier: Apache-2.0
#include "cli/run/outcome.hpp"

#include "cli/run/repetitions.hpp"

#include <catch2/catch.hpp>

#include <csignal>

using trireme::cli::ExitStatus;
using trireme::cli::judge;
using trireme::cli::RankEnd;
using trireme::rendezvous::Cause;

namespace {

const ExitStatus good{};
const ExitStatus killed{0, SIGKILL};
const ExitStatus terminated{0, SIGTERM};

ExitStatus exited(int code) { return {code, 0}; }

Cause verdict_on(int member) {
  Cause cause;
  cause.code = trireme::ErrorCode::peer_lost;
  cause.member = member;
  cause.operation_name = "all_reduce #17 'bucket 0'";
  cause.message = "rank " + std::to_string(member) + " on host-a did not answer";
  return cause;
}

}  // namespace

TEST_CASE("An exit status reads as a shell reports it") {
  REQUIRE(good.success());
  REQUIRE(exited(3).shell_code() == 3);
  REQUIRE(exited(3).detail() == "exit code 3");
  REQUIRE(killed.shell_code() == 137);
  REQUIRE(killed.detail() == "killed by signal 9 (Killed)");
  REQUIRE(killed.sentence() == "was killed by signal 9 (Killed)");
  REQUIRE_FALSE(killed.success());
}

TEST_CASE("All ranks well: exit code 0 and not a word") {
  auto outcome = judge({{1, good}, {0, good}}, std::nullopt);
  REQUIRE(outcome.exit_code == 0);
  REQUIRE(outcome.line.empty());
}

TEST_CASE("Without a verdict the first rank that failed gives the exit code") {
  auto outcome = judge({{3, good}, {2, exited(3)}, {0, exited(1)}, {1, terminated, true}}, std::nullopt);
  REQUIRE(outcome.exit_code == 3);
  REQUIRE(outcome.line == "trireme run: rank 2 ended with exit code 3; the other ranks were ended");
}

TEST_CASE("Ranks that stopped in order are no cause beside a failure, and alone no failure") {
  const auto stopped = exited(143);
  REQUIRE(stopped.interrupted(143));
  REQUIRE_FALSE(terminated.interrupted(143));
  auto outcome = judge({{1, stopped}, {0, stopped}, {2, good}}, std::nullopt);
  REQUIRE(outcome.exit_code == 143);
  REQUIRE(outcome.line == "trireme run: interrupted");
  outcome = judge({{1, stopped}, {0, killed, true}}, std::nullopt);
  REQUIRE(outcome.exit_code == 143);
  REQUIRE(outcome.line == "trireme run: interrupted; ranks that did not end in time were ended");
  REQUIRE(judge({{1, stopped}, {0, exited(3)}}, std::nullopt).exit_code == 3);
  // It left the others alone in their world, and they failed of it.
  outcome = judge({{1, stopped}, {0, exited(1)}}, verdict_on(1));
  REQUIRE(outcome.exit_code == 143);
  REQUIRE(
      outcome.line ==
      "trireme run: rank 1 ended with exit code 143 during all_reduce #17 'bucket 0'; the other ranks failed with it");
}

TEST_CASE("A rank that fails alone is not said to have taken others along") {
  REQUIRE(judge({{0, exited(5)}}, std::nullopt).line == "trireme run: rank 0 ended with exit code 5");
  REQUIRE(judge({{1, good}, {0, exited(5)}}, std::nullopt).line == "trireme run: rank 0 ended with exit code 5");
}

TEST_CASE("The verdict's rank gives the exit code, though another was seen to fail first") {
  auto outcome = judge({{0, exited(1)}, {2, killed}, {1, exited(1)}}, verdict_on(2));
  REQUIRE(outcome.exit_code == 137);
  REQUIRE(outcome.line ==
          "trireme run: rank 2 was killed by signal 9 (Killed) during all_reduce #17 'bucket 0'; the other ranks "
          "failed with it");
}

TEST_CASE("A mismatch is told in the words on which the ranks agreed, not as the end of one of them") {
  auto cause = verdict_on(1);
  cause.code = trireme::ErrorCode::mismatch;
  cause.message = "rank 2 called all_reduce(count 99), the others all_reduce(count 100)";
  auto outcome = judge({{1, exited(1)}, {0, exited(1)}, {2, exited(1)}}, cause);
  REQUIRE(outcome.exit_code == 1);
  REQUIRE(outcome.line == "trireme run: " + cause.message + "; the other ranks failed with it");
}

TEST_CASE("After refusals the rank whose words are shown is named, unless another failed otherwise before") {
  REQUIRE(judge({{0, exited(2)}, {1, exited(2)}}, std::nullopt, 1).line ==
          "trireme run: rank 1 ended with exit code 2; the other ranks failed with it");
  REQUIRE(judge({{0, killed}, {1, exited(2)}}, std::nullopt, 1).exit_code == 137);
  REQUIRE(judge({{0, exited(2)}, {1, good}}, std::nullopt, 1).line == "trireme run: rank 0 ended with exit code 2");
}

TEST_CASE("A rank that ended with 0 while its World was open has failed") {
  auto cause = verdict_on(2);
  cause.message = "rank 2 (host-a) exited with code 0 without closing its world";
  auto outcome = judge({{2, good, false, true}, {0, exited(3)}}, cause);
  REQUIRE(outcome.exit_code == 1);
  REQUIRE(outcome.line == "trireme run: " + cause.message + "; the other ranks failed with it");
  REQUIRE(judge({{2, good, false, true}, {0, good}}, std::nullopt).exit_code == 1);
}

TEST_CASE("A verdict on a rank that had to be killed names it, but the first failure gives the exit code") {
  auto outcome = judge({{0, exited(1)}, {1, exited(1)}, {2, killed, true}}, verdict_on(2));
  REQUIRE(outcome.exit_code == 1);
  REQUIRE(outcome.line ==
          "trireme run: rank 2 on host-a did not answer; rank 0 ended with exit code 1; the other ranks were ended");
}

TEST_CASE("A verdict on a rank that ended well, or on none, leaves the first failure") {
  REQUIRE(judge({{2, good}, {1, exited(4)}}, verdict_on(2)).exit_code == 4);
  REQUIRE(judge({{2, good}, {1, exited(4)}}, verdict_on(-1)).exit_code == 4);
}

TEST_CASE("The final line is one line whatever the ranks wrote into the verdict") {
  auto cause = verdict_on(2);
  cause.message = "two\nlines";
  REQUIRE(judge({{1, exited(4)}}, cause).line.find('\n') == std::string::npos);
}

TEST_CASE("Refusals in the same words of several processes are repetitions, other lines never") {
  trireme::cli::Repetitions repetitions;
  const std::string refusal = "trireme train: unknown flag '--frobnicate'\n";
  REQUIRE_FALSE(repetitions.contains("rank 2", 2, "loss: 3\n"));
  REQUIRE_FALSE(repetitions.first_speaker());
  REQUIRE_FALSE(repetitions.contains("rank 1", 1, refusal));
  REQUIRE_FALSE(repetitions.contains("rank 1", 1, refusal));  // a rank may repeat itself
  REQUIRE(repetitions.contains("rank 0", 0, refusal));
  REQUIRE(repetitions.first_speaker() == 1);
  REQUIRE_FALSE(repetitions.contains("rank 0", 0, "trireme train: unknown flag '--other'\n"));
  REQUIRE_FALSE(repetitions.contains("rank 0", 0, "loss: 3\n"));
  REQUIRE_FALSE(repetitions.contains("rank 1", 1, "loss: 3\n"));
  REQUIRE_FALSE(repetitions.contains("rank 0", 0, "trireme train is slow: why\n"));
  REQUIRE_FALSE(repetitions.contains("rank 1", 1, "trireme train is slow: why\n"));
  REQUIRE(repetitions.contains("server 0", -1, refusal));
  const std::string other = "trireme train: --steps: 'x' is no number\n";
  REQUIRE_FALSE(repetitions.contains("server 1", -1, other));
  REQUIRE(repetitions.contains("server 0", -1, other));
  REQUIRE(repetitions.contains("rank 1", 1, other));
}

TEST_CASE("A job that did without some of its ranks has succeeded, and says which are missing and why") {
  const auto outcome = trireme::cli::judge_without(
      {{.rank = 2, .status = killed, .host = "algo-2"}, {.rank = 4, .status = exited(3)}}, {});
  REQUIRE(outcome.exit_code == 0);
  REQUIRE(
      outcome.line ==
      "trireme run: the job is complete without rank 2 (algo-2), which was killed by signal 9 (Killed), and rank 4, which "
      "ended with exit code 3");
}

TEST_CASE("A job that did without a rank and has stopped to go on another time has not succeeded") {
  const auto rest = judge({{0, exited(143)}, {1, exited(143)}}, std::nullopt);
  REQUIRE(rest.interrupted);
  const auto outcome = trireme::cli::judge_without({{2, exited(1)}}, rest);
  REQUIRE(outcome.exit_code == 143);
  REQUIRE(outcome.interrupted);
  REQUIRE(outcome.line == "trireme run: interrupted; it was without rank 2, which ended with exit code 1");
}
