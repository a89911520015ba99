// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/rendezvous/coordinator.hpp"

#include <map>
#include <string>
#include <vector>

namespace trireme::rendezvous::testing {

using std::chrono::milliseconds;

/// A coordinator in simulated time, with ranks that answer as they are told to.
class SimulatedWorld {
 public:
  explicit SimulatedWorld(int world_size, int joined = -1) : coordinator({.world_size = world_size, .epoch = 5}) {
    for (int rank = 0; rank < (joined < 0 ? world_size : joined); ++rank) {
      coordinator.joined(rank, "host-" + std::string(1, static_cast<char>('a' + rank)));
    }
  }

  /// What `rank` answers when asked. Ranks that were told nothing do not answer.
  void waits(int rank, std::uint64_t operation, std::vector<std::int32_t> for_whom, std::uint64_t communicator = 0) {
    answers[rank] = {rank, communicator, operation, true, name(operation), std::move(for_whom)};
  }
  void idles(int rank, std::uint64_t last_operation, std::uint64_t communicator = 0) {
    answers[rank] = {rank, communicator, last_operation, false, name(last_operation), {}};
  }
  void fresh(int rank) { answers[rank] = {rank, 0, 0, false, "", {}}; }

  void report(int reporter, ErrorCode code, std::uint64_t operation, int member, std::uint64_t communicator = 0) {
    coordinator.reported(reporter, cause(code, operation, member, communicator), now);
    poll();
  }
  void lose(int rank, std::string detail = "") {
    coordinator.lost(rank, std::move(detail), now);
    poll();
  }

  static std::string name(std::uint64_t operation) { return "all_reduce #" + std::to_string(operation); }
  static Cause cause(ErrorCode code, std::uint64_t operation, int member, std::uint64_t communicator = 0) {
    return {code,   5,  communicator,    operation,
            member, "", name(operation), std::string(name_of(code)) + " at " + name(operation)};
  }

  void poll() {
    Coordinator::Actions actions = coordinator.poll(now);
    for (int rank : actions.query) {
      ++queries[rank];
      if (auto answer = answers.find(rank); answer != answers.end()) coordinator.answered(answer->second);
    }
    if (actions.publish) published.push_back(*actions.publish);
  }

  /// Lets time pass until nothing is left to be done.
  Cause verdict() {
    while (coordinator.next_moment()) {
      now = std::max(now, *coordinator.next_moment());
      poll();
    }
    return coordinator.verdict().value_or(Cause{});
  }

  Coordinator coordinator;
  Coordinator::Clock::time_point now = Coordinator::Clock::time_point(std::chrono::hours(1));
  std::map<int, Status> answers;
  std::map<int, int> queries;
  std::vector<Cause> published;
};

}  // namespace trireme::rendezvous::testing
