// SPDX-License-Identifier: Apache-2.0
#include "simulated_world.hpp"
#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using namespace trireme::rendezvous;
using Catch::Matchers::Contains;
using trireme::rendezvous::testing::milliseconds;
using trireme::rendezvous::testing::SimulatedWorld;

TEST_CASE("Causes are ranked by epoch, communicator, operation, member, and then by how hard the evidence is") {
  Cause base{ErrorCode::timeout, 1, 1, 1, 1, "", "", ""};
  auto with = [&](auto change) {
    Cause cause = base;
    change(cause);
    return cause;
  };
  std::vector<Cause> ordered{
      with([](Cause& c) { c = {ErrorCode::system, 0, 9, 9, 9, "", "", ""}; }),
      with([](Cause& c) { c = {ErrorCode::system, 1, 0, 9, 9, "", "", ""}; }),
      with([](Cause& c) { c = {ErrorCode::system, 1, 1, 0, 9, "", "", ""}; }),
      with([](Cause& c) { c = {ErrorCode::system, 1, 1, 1, 0, "", "", ""}; }),
      with([](Cause& c) { c.code = ErrorCode::mismatch; }),
      with([](Cause& c) { c.code = ErrorCode::peer_lost; }),
      base,
      with([](Cause& c) { c.code = ErrorCode::corrupt; }),
      with([](Cause& c) { c.member = 2; }),
      with([](Cause& c) { c.operation = 2; }),
      with([](Cause& c) { c.communicator = 2; }),
      with([](Cause& c) { c.epoch = 2; }),
  };
  for (std::size_t i = 0; i < ordered.size(); ++i) {
    for (std::size_t j = 0; j < ordered.size(); ++j) {
      INFO(i << " and " << j);
      REQUIRE(precedes(ordered[i], ordered[j]) == (i < j));
    }
  }
}

TEST_CASE("A world in which nothing happens has nothing to do") {
  SimulatedWorld world(2);
  REQUIRE_FALSE(world.coordinator.next_moment());
  world.poll();
  REQUIRE(world.queries.empty());
  REQUIRE_FALSE(world.coordinator.verdict());
  REQUIRE(world.coordinator.everyone_joined());
  world.coordinator.left(0);
  world.coordinator.left(1);
  REQUIRE_FALSE(world.coordinator.next_moment());
  REQUIRE(world.coordinator.everyone_joined());
}

TEST_CASE("Ranks outside the world and second processes of a rank are refused by name") {
  SimulatedWorld world(3, 2);
  REQUIRE_FALSE(world.coordinator.everyone_joined());
  REQUIRE_FALSE(world.coordinator.refusal(2));
  REQUIRE_THAT(world.coordinator.refusal(3).value(), Contains("rank 3 is outside the world of 3 ranks"));
  REQUIRE_THAT(world.coordinator.refusal(-1).value(), Contains("rank -1 is outside"));
  REQUIRE_THAT(world.coordinator.refusal(1).value(), Contains("rank 1 has joined already from host-b"));
  world.coordinator.left(1);
  REQUIRE_THAT(world.coordinator.refusal(1).value(), Contains("rank 1 has left"));
  world.coordinator.lost(0, "", world.now);
  REQUIRE_THAT(world.coordinator.refusal(0).value(), Contains("rank 0 was lost"));
  REQUIRE_THROWS_AS(Coordinator({.world_size = 0}), Exception);
}

TEST_CASE("A dead rank is named with its host, how it died and the operation the survivors were in") {
  SimulatedWorld world(4);
  world.waits(0, 17, {3});
  world.waits(1, 18, {2});
  world.idles(3, 16);
  world.lose(2);
  world.lose(2, "killed by signal 9");  // the launcher's word comes later
  Cause verdict = world.verdict();
  REQUIRE(verdict.code == ErrorCode::peer_lost);
  REQUIRE(verdict.member == 2);
  REQUIRE(verdict.member_host == "host-c");
  REQUIRE(verdict.epoch == 5);
  REQUIRE(verdict.operation == 17);
  REQUIRE(verdict.operation_name == "all_reduce #17");
  REQUIRE(verdict.message == "rank 2 (host-c) died: killed by signal 9, during all_reduce #17");
  REQUIRE(world.queries == std::map<int, int>{{0, 1}, {1, 1}, {3, 1}});
}

TEST_CASE("Of several accounts of a death the first that says something counts") {
  SimulatedWorld world(2);
  world.lose(1);
  world.lose(1, "killed by signal 9");
  world.lose(1, "exited with code 1");
  world.lose(1);
  REQUIRE(world.verdict().message == "rank 1 (host-b) died: killed by signal 9");
}

TEST_CASE("A rank whose host falls silent is not called dead, unless its launcher says how it died") {
  SimulatedWorld world(3);
  world.waits(0, 17, {2});
  world.waits(1, 17, {2});
  world.coordinator.fell_silent(2, world.now);
  world.poll();
  if (GENERATE(false, true)) {
    world.lose(2, "killed by signal 9");
    REQUIRE(world.verdict().message == "rank 2 (host-c) died: killed by signal 9, during all_reduce #17");
  } else {
    Cause verdict = world.verdict();
    REQUIRE(verdict.code == ErrorCode::peer_lost);
    REQUIRE(verdict.member == 2);
    REQUIRE(verdict.message ==
            "rank 2 (host-c) is gone: its host does not answer, so it is dead or cut off, during all_reduce #17");
  }
}

TEST_CASE("A broken link reported outside of any operation does not hide the one that the death interrupted") {
  SimulatedWorld world(3);
  world.waits(0, 17, {2});
  Cause broken{.code = ErrorCode::peer_lost, .epoch = 5, .member = 2, .message = "its connection broke"};
  world.coordinator.reported(1, broken, world.now);
  world.lose(2, "killed by signal 9");
  Cause verdict = world.verdict();
  REQUIRE(verdict.operation_name == "all_reduce #17");
  REQUIRE(verdict.message == "rank 2 (host-c) died: killed by signal 9, during all_reduce #17");
}

TEST_CASE("Broken links alone name no operation") {
  SimulatedWorld world(3);
  Cause broken{.code = ErrorCode::peer_lost, .epoch = 5, .member = 2, .message = "its connection broke"};
  world.coordinator.reported(1, broken, world.now);
  world.lose(2, "killed by signal 9");
  REQUIRE(world.verdict().message == "rank 2 (host-c) died: killed by signal 9");
}

TEST_CASE("A rank that dies between operations is named without one") {
  SimulatedWorld world(2);
  world.idles(0, 3);
  world.lose(1, "exited with code 1");
  REQUIRE(world.verdict().message == "rank 1 (host-b) died: exited with code 1");
}

TEST_CASE("A rank that dies before it joined is named") {
  SimulatedWorld world(3, 2);
  world.fresh(0);
  world.fresh(1);
  world.lose(2, "exited with code 127");
  Cause verdict = world.verdict();
  REQUIRE(verdict.member == 2);
  REQUIRE(verdict.message == "rank 2 ended before it joined: exited with code 127");
}

TEST_CASE("The verdict comes once, when the collection is over and not before") {
  SimulatedWorld world(3);
  auto start = world.now;
  world.report(0, ErrorCode::mismatch, 4, 1);
  REQUIRE(world.coordinator.next_moment() == start + milliseconds(200));
  world.now = start + milliseconds(199);
  world.poll();
  REQUIRE(world.published.empty());
  world.now = start + milliseconds(200);
  world.poll();
  REQUIRE(world.published.size() == 1);
  REQUIRE_FALSE(world.coordinator.next_moment());

  Cause before = *world.coordinator.verdict();
  world.report(2, ErrorCode::mismatch, 1, 0);
  world.lose(1, "late");
  world.now += std::chrono::hours(1);
  world.poll();
  REQUIRE(world.published.size() == 1);
  REQUIRE(world.coordinator.verdict()->message == before.message);
  REQUIRE_FALSE(world.coordinator.next_moment());
}

TEST_CASE("Whoever is asked late in a collection has a whole collection to answer in") {
  SimulatedWorld world(2);
  auto start = world.now;
  world.report(0, ErrorCode::corrupt, 4, -1);
  REQUIRE(world.queries.empty());
  world.now = start + milliseconds(150);
  world.report(0, ErrorCode::timeout, 4, 1);
  REQUIRE(world.queries.size() == 2);
  REQUIRE(world.coordinator.next_moment() == start + milliseconds(350));
  world.now = start + milliseconds(300);
  world.report(1, ErrorCode::timeout, 4, 0);
  REQUIRE(world.coordinator.next_moment() == start + milliseconds(350));
}

TEST_CASE("A stopped rank is named, not the neighbour that waits for it") {
  SimulatedWorld world(4);
  world.waits(0, 17, {1});
  world.waits(1, 17, {2});
  world.waits(3, 17, {2});
  world.report(0, ErrorCode::timeout, 17, 1);
  Cause verdict = world.verdict();
  REQUIRE(verdict.code == ErrorCode::timeout);
  REQUIRE(verdict.member == 2);
  REQUIRE(verdict.member_host == "host-c");
  REQUIRE_THAT(verdict.message, Contains("rank 2 (host-c) does not answer: its process is stopped or hung"));
}

TEST_CASE("A rank that reported is not silent, even if its answer did not come") {
  SimulatedWorld world(3);
  world.idles(2, 16);
  world.waits(1, 17, {2});
  world.report(0, ErrorCode::timeout, 17, 1);
  REQUIRE(world.verdict().member == 2);
}

TEST_CASE("Of several silent ranks the one that is waited for is named") {
  SimulatedWorld world(5);
  world.waits(0, 3, {4});
  world.waits(1, 3, {4});
  world.report(0, ErrorCode::timeout, 3, 4);
  REQUIRE(world.verdict().member == 4);  // 2 and 3 are silent, too
}

TEST_CASE("The chain of waiting ends at the rank that has not called the operation") {
  SimulatedWorld world(4);
  world.waits(0, 17, {1});
  world.waits(1, 17, {2});
  world.waits(2, 17, {3});
  SECTION("because it is between operations") {
    world.idles(3, 16);
    world.report(0, ErrorCode::timeout, 17, 1);
    Cause verdict = world.verdict();
    REQUIRE(verdict.member == 3);
    REQUIRE(verdict.operation == 17);
    REQUIRE(verdict.message == "rank 3 (host-d) has not called all_reduce #17; its last operation was all_reduce #16");
  }
  SECTION("because it has called nothing at all") {
    world.fresh(3);
    world.report(0, ErrorCode::timeout, 17, 1);
    REQUIRE(world.verdict().message == "rank 3 (host-d) has not called all_reduce #17; it has called no operation yet");
  }
  SECTION("because it is still busy with an earlier one") {
    world.waits(3, 16, {});
    world.report(0, ErrorCode::timeout, 17, 1);
    REQUIRE(world.verdict().message == "rank 3 (host-d) has not called all_reduce #17; it is in all_reduce #16");
  }
  SECTION("because it last worked in another communicator") {
    world.idles(3, 99, 7);
    world.report(0, ErrorCode::timeout, 17, 1);
    REQUIRE(world.verdict().member == 3);
  }
  REQUIRE(world.published.size() == 1);
}

TEST_CASE("Who accuses a rank that answers, and does not answer itself, is the one cut off") {
  SimulatedWorld world(4);
  world.waits(0, 17, {3});
  world.waits(1, 17, {3});
  world.waits(2, 17, {3});
  world.report(3, ErrorCode::peer_lost, 17, 0);  // what is sent to it no longer comes
  SECTION("and the accused has said nothing") {}
  SECTION("and the accused accuses it in turn") { world.report(0, ErrorCode::peer_lost, 17, 3); }
  const Cause verdict = world.verdict();
  REQUIRE(verdict.code == ErrorCode::peer_lost);
  REQUIRE(verdict.member == 3);
  REQUIRE(verdict.operation == 17);
}

TEST_CASE("An accusation by a rank that answers stands") {
  SimulatedWorld world(4);
  for (int rank = 0; rank < 3; ++rank) world.waits(rank, 17, {3});
  world.report(1, ErrorCode::peer_lost, 17, 3);
  REQUIRE(world.verdict().member == 3);
}

TEST_CASE("A rank that waits in an earlier operation is passed through to the one it waits for") {
  SimulatedWorld world(4);
  world.waits(0, 17, {1});
  world.waits(1, 16, {2});
  world.waits(2, 16, {3});
  world.idles(3, 15);
  world.report(0, ErrorCode::timeout, 17, 1);
  Cause verdict = world.verdict();
  REQUIRE(verdict.member == 3);
  REQUIRE(verdict.operation == 16);
}

TEST_CASE("Where everybody waits for everybody, the one that is missing is found") {
  SimulatedWorld world(4);
  for (int rank : {0, 1, 3}) {
    std::vector<std::int32_t> others;
    for (int peer = 0; peer < 4; ++peer) {
      if (peer != rank) others.push_back(peer);
    }
    world.waits(rank, 8, others);
  }
  world.idles(2, 7);
  world.report(3, ErrorCode::timeout, 8, 0);
  REQUIRE(world.verdict().member == 2);
}

TEST_CASE("A reporter that has given up the operation is not taken for one that never called it") {
  SimulatedWorld world(3);
  world.idles(0, 16);  // its answer comes after its report
  world.waits(1, 17, {0, 2});
  world.idles(2, 16);
  world.report(0, ErrorCode::timeout, 17, 2);
  REQUIRE(world.verdict().member == 2);
}

TEST_CASE("A reporter that cannot say for whom it waits is not taken for one that never called the operation") {
  SimulatedWorld world(3);
  SECTION("though it gave up the operation before it was asked") { world.idles(0, 16); }
  SECTION("though its answer did not come") {}
  world.waits(1, 17, {0, 2});
  world.idles(2, 16);
  world.report(0, ErrorCode::timeout, 17, -1);
  world.report(1, ErrorCode::timeout, 17, 0);
  REQUIRE(world.verdict().member == 2);
}

TEST_CASE("Ranks that wait in a circle are told so, under the lowest of them") {
  SimulatedWorld world(4);
  world.waits(0, 3, {2});
  world.waits(1, 5, {3}, 1);
  world.waits(2, 4, {1});
  world.waits(3, 6, {2}, 2);
  world.report(0, ErrorCode::timeout, 3, 2);
  Cause verdict = world.verdict();
  REQUIRE(verdict.code == ErrorCode::timeout);
  REQUIRE(verdict.member == 1);
  REQUIRE_THAT(verdict.message, Contains("wait for each other in a circle"));
  REQUIRE_THAT(verdict.message,
               Contains("rank 1 in all_reduce #5 waits for rank 3 in all_reduce #6 waits for rank 2 in "
                        "all_reduce #4 waits for rank 1"));
}

TEST_CASE("Bytes that were sent and never came are blamed on the link") {
  SimulatedWorld world(2);
  world.waits(0, 9, {1});
  world.idles(1, 9);
  world.report(0, ErrorCode::timeout, 9, 1);
  Cause verdict = world.verdict();
  REQUIRE(verdict.member == 1);
  REQUIRE_THAT(verdict.message, Contains("has finished all_reduce #9, but its bytes have not reached rank 0 (host-a)"));
}

TEST_CASE("A rank that is in the operation and waits for nobody makes no progress") {
  SimulatedWorld world(2);
  world.waits(0, 9, {1});
  world.waits(1, 9, {});
  world.report(0, ErrorCode::timeout, 9, 1);
  REQUIRE_THAT(world.verdict().message, Contains("rank 1 (host-b) makes no progress in all_reduce #9"));
}

TEST_CASE("Where nobody says for whom it waits, the rank that is behind is named") {
  SimulatedWorld world(3);
  world.waits(0, 9, {});
  world.waits(1, 9, {});
  world.idles(2, 8);
  world.report(0, ErrorCode::timeout, 9, -1);
  SECTION("if all the others reported") {
    world.report(1, ErrorCode::timeout, 9, -1);
    REQUIRE(world.verdict().member == 2);
  }
  SECTION("and the report itself is published when nobody is") {
    world.answers.clear();
    SimulatedWorld alone(1);
    alone.waits(0, 9, {});
    alone.report(0, ErrorCode::timeout, 9, -1);
    REQUIRE(alone.verdict().message == "timeout at all_reduce #9");
  }
}

TEST_CASE("A rank that has not joined is named when an operation waits for it") {
  SimulatedWorld world(3, 2);
  world.waits(0, 1, {2});
  world.waits(1, 1, {0});
  world.report(0, ErrorCode::timeout, 1, 2);
  REQUIRE_THAT(world.verdict().message, Contains("rank 2 has not joined the world"));
}

TEST_CASE("Leaving in good order is no failure until somebody waits for the rank that left") {
  SimulatedWorld world(3);
  world.coordinator.left(1);
  REQUIRE_FALSE(world.coordinator.next_moment());
  world.lose(1, "its silence is expected");
  REQUIRE_FALSE(world.coordinator.next_moment());
  std::string message = "rank 1 (host-b) has left the world (its World was closed) before all_reduce #17";
  world.waits(0, 17, {1});
  world.waits(2, 17, {0});
  SECTION("and times out") { world.report(2, ErrorCode::timeout, 17, 0); }
  SECTION("and finds the connection ended") { world.report(0, ErrorCode::peer_lost, 17, 1); }
  SECTION("and finds the connection closed") { world.report(0, ErrorCode::closed, 17, 1); }
  Cause verdict = world.verdict();
  REQUIRE(verdict.code == ErrorCode::peer_lost);
  REQUIRE(verdict.member == 1);
  REQUIRE(verdict.message == message);
}

TEST_CASE("A mismatch beats whatever else is reported of the same operation") {
  SimulatedWorld world(4);
  for (int rank = 0; rank < 4; ++rank) world.waits(rank, 17, {});
  world.report(0, ErrorCode::timeout, 17, 1);
  world.report(1, ErrorCode::peer_lost, 17, 0);
  world.report(2, ErrorCode::mismatch, 17, 3);
  world.lose(1);
  REQUIRE(world.verdict().code == ErrorCode::mismatch);
  REQUIRE(world.verdict().member == 3);
  REQUIRE(world.verdict().member_host == "host-d");
}

TEST_CASE("An earlier operation beats a mismatch of a later one") {
  SimulatedWorld world(3);
  world.idles(1, 15);
  world.waits(0, 16, {1});
  world.waits(2, 17, {1});
  world.report(2, ErrorCode::mismatch, 17, 0);
  world.report(0, ErrorCode::timeout, 16, 1);
  REQUIRE(world.verdict().code == ErrorCode::timeout);
  REQUIRE(world.verdict().member == 1);
}

TEST_CASE("A rank that reported and then went is a witness, not the cause") {
  SimulatedWorld world(3);
  world.waits(1, 17, {0, 2});
  world.idles(2, 16);
  world.report(0, ErrorCode::timeout, 17, 2);
  SECTION("when its process ends") { world.lose(0, "exited with code 1"); }
  SECTION("when others see its connections end") { world.report(1, ErrorCode::peer_lost, 17, 0); }
  REQUIRE(world.verdict().code == ErrorCode::timeout);
  REQUIRE(world.verdict().member == 2);
}

TEST_CASE("Two ranks that lost each other and nothing else are both believed: the link is cut") {
  SimulatedWorld world(3);
  for (int rank = 0; rank < 3; ++rank) world.waits(rank, 2, {(rank + 1) % 3});
  world.report(1, ErrorCode::peer_lost, 2, 2);
  world.report(2, ErrorCode::peer_lost, 2, 1);
  REQUIRE(world.verdict().code == ErrorCode::peer_lost);
  REQUIRE(world.verdict().member == 1);
}

TEST_CASE("A failure of a rank's own is charged to that rank") {
  SimulatedWorld world(2);
  world.report(1, ErrorCode::system, 6, -1);
  REQUIRE(world.verdict().member == 1);
  REQUIRE(world.verdict().member_host == "host-b");
}

TEST_CASE("Events of ranks that do not exist change nothing") {
  SimulatedWorld world(2);
  world.report(7, ErrorCode::mismatch, 1, 0);
  world.report(-1, ErrorCode::mismatch, 1, 0);
  world.report(0, ErrorCode::none, 1, 0);
  world.lose(2);
  world.coordinator.left(-3);
  world.coordinator.joined(9, "nowhere");
  world.coordinator.answered(Status{.rank = 12});
  REQUIRE_FALSE(world.coordinator.next_moment());
  // A peer outside the world in a report or a status is nobody.
  world.waits(0, 1, {77, -5});
  world.waits(1, 1, {0});
  world.report(1, ErrorCode::timeout, 1, 99);
  REQUIRE(world.verdict().member == 0);
}
