// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/optim/optimizer.hpp"
#include "trireme/ps/client.hpp"
#include "trireme/ps/consistency.hpp"
#include "trireme/ps/key_plan.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace trireme::ps {

class InProcessHub;

struct InProcessOptions {
  std::shared_ptr<const KeyPlan> plan;  ///< says how many servers and event loops there are
  Consistency consistency{};
  std::uint32_t workers = 1;         ///< bulk-synchronous: how many contributions make a sum
  std::uint32_t backup_workers = 0;  ///< bulk-synchronous: so many of them are not waited for
  std::uint32_t leaves = 1;
  std::string settings{};
  std::function<std::unique_ptr<Optimizer>()> make_optimizer{};  ///< null: sums only
  bool staleness_aware = false;
};

/// Parameter servers for workers that are threads of this process: the `mem` transport of the parameter server, for worlds of
/// threads, laboratories and tests. What a server would do on a thread of its own, whoever sends it something does: there
/// are no threads, and nobody waits for one to wake up. Memory for what waits is unbounded, and there are no replicas.
/// Lives until the last of its clients has gone.
/// Threads: any number of clients, each with one caller at a time.
class InProcessServers {
 public:
  /// Errors: invalid_argument without a plan.
  explicit InProcessServers(const InProcessOptions& options);
  /// A worker's client. `timeout`: of each wait without progress.
  /// Errors: what a server refuses: mismatch for a rank that is none of theirs.
  std::unique_ptr<Client> connect(std::uint32_t rank,
                                  std::chrono::milliseconds timeout = std::chrono::minutes(10)) const;

  struct Statistics {
    std::uint64_t pushes = 0, pulls = 0, updates = 0, duplicates = 0, dropped = 0, delayed_pulls = 0;
    std::uint64_t most_staleness = 0;
  };
  /// Of all servers, as of messages that have been handled.
  Statistics statistics() const;

 private:
  std::shared_ptr<InProcessHub> hub_;
};

}  // namespace trireme::ps
