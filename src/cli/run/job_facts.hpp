// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/run/rank_environment.hpp"
#include "trireme/world/server_directory.hpp"

namespace trireme::cli {

/// What the ranks of a job have said of it in its store, asked when something was lost.
class JobFacts {
 public:
  /// False also when the store does not answer within seconds.
  bool hold(const Job& job, JobFact fact) const;
  /// Says for a worker that was lost that it has ended, as those that end in order do themselves.
  void note_lost_worker(const Job& job, int worker) const;
  /// Says of a server that is not started again that it has ended: who waits for its keys asks others at once, or knows that nobody
  /// has them.
  void note_lost_server(const Job& job, int server) const;
};

}  // namespace trireme::cli
