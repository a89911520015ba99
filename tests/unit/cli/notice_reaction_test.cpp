// SPDX-License-Identifier: Apache-2.0
#include "cli/train/notice_reaction.hpp"

#include "cli/train/job_signals.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <csignal>
#include <thread>

#include <unistd.h>

using namespace trireme;
using namespace trireme::cli;
using std::chrono::seconds;

namespace {

NoticeReaction::Clock::time_point reaction_time(int so_many) {
  return NoticeReaction::Clock::time_point(seconds(1000 + so_many));
}

interruption::Notice notice_for(int deadline, const std::string& what = "spot action terminate") {
  return {.source = "EC2", .what = what, .deadline = reaction_time(deadline)};
}

}  // namespace

TEST_CASE("A notice asks for a checkpoint once, and for the end when there is just time for another") {
  NoticeReaction reaction("host-a", true);
  CHECK(reaction.look(std::nullopt, reaction_time(0), 0.0).lines.empty());
  const auto first = reaction.look(notice_for(120), reaction_time(0), 0.0);
  CHECK(first.checkpoint);
  CHECK_FALSE(first.stop);
  REQUIRE(first.lines.size() == 1);
  CHECK_THAT(first.lines[0], Catch::Matchers::Contains("in 120 s") && Catch::Matchers::Contains("EC2") &&
                                 Catch::Matchers::Contains("host-a") &&
                                 Catch::Matchers::Contains("spot action terminate"));
  const auto later = reaction.look(notice_for(120), reaction_time(104), 5.0);
  CHECK_FALSE(later.checkpoint);
  CHECK_FALSE(later.stop);
  CHECK(later.lines.empty());
  CHECK(reaction.look(notice_for(120), reaction_time(105), 5.0).stop);
  CHECK_FALSE(reaction.look(notice_for(120), reaction_time(106), 5.0).stop);
}

TEST_CASE("A notice that is withdrawn stops nothing, and another one begins anew") {
  NoticeReaction reaction("host-a", true);
  reaction.look(notice_for(30), reaction_time(0), 0.0);
  const auto withdrawn = reaction.look(std::nullopt, reaction_time(10), 0.0);
  CHECK_FALSE(withdrawn.stop);
  REQUIRE(withdrawn.lines.size() == 1);
  CHECK_THAT(withdrawn.lines[0], Catch::Matchers::Contains("withdrawn"));
  CHECK_FALSE(reaction.look(std::nullopt, reaction_time(1000), 0.0).stop);
  CHECK(reaction.look(notice_for(2000), reaction_time(1000), 0.0).checkpoint);
  CHECK(reaction.look(notice_for(2000, "spot action stop"), reaction_time(1001), 0.0).checkpoint);
}

TEST_CASE("A notice that comes too late ends the job at once; a short one leaves half of it") {
  NoticeReaction late("host-a", true);
  const auto action = late.look(notice_for(-5), reaction_time(0), 100.0);
  CHECK(action.checkpoint);
  CHECK(action.stop);
  NoticeReaction short_one("host-a", true);
  CHECK_FALSE(short_one.look(notice_for(30), reaction_time(0), 100.0).stop);
  CHECK_FALSE(short_one.look(notice_for(30), reaction_time(14), 100.0).stop);
  CHECK(short_one.look(notice_for(30), reaction_time(15), 100.0).stop);
  CHECK(stop_margin(seconds(120), 0.0) == seconds(5));
  CHECK(stop_margin(seconds(0), 1e300) == seconds(0));
}

TEST_CASE("Without checkpoints a notice is one warning, and the end in its time") {
  NoticeReaction reaction("host-a", false);
  const auto first = reaction.look(notice_for(60), reaction_time(0), 0.0);
  CHECK_FALSE(first.checkpoint);
  REQUIRE(first.lines.size() == 1);
  CHECK_THAT(first.lines[0], Catch::Matchers::Contains("warning: without --checkpoint-dir"));
  CHECK(reaction.look(notice_for(60), reaction_time(30), 0.0).lines.empty());
  CHECK(reaction.look(notice_for(60), reaction_time(56), 0.0).stop);
}

TEST_CASE("The first Ctrl-C after a stop that was announced is no second one") {
  JobSignals signals(true);
  signals.attend();
  signals.request_stop(SIGTERM);
  REQUIRE(::kill(::getpid(), SIGINT) == 0);
  REQUIRE(::kill(::getpid(), SIGUSR1) == 0);  // read behind it
  while (!signals.take_checkpoint_request()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  REQUIRE(signals.stop_signal() == SIGTERM);
}
