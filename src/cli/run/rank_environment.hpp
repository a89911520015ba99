// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/net/job_key.hpp"
#include "trireme/net/socket.hpp"
#include "trireme/platform/environment.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace trireme::cli {

/// What all ranks of one job have in common.
struct Job {
  int world = 1;
  int first_rank = 0;   ///< on this host
  int local_world = 0;  ///< ranks of this host; 0: all are
  int node = 0, nnodes = 1;
  net::Address store{};           ///< where the launcher serves the store and the control channel
  std::uint16_t master_port = 0;  ///< MASTER_PORT: free, for programs that listen there themselves, as PyTorch does
  net::JobKey key;
  std::string id;
  bool terminal = false;  ///< the launcher's stderr is one
  std::optional<std::chrono::milliseconds> join_timeout{};
  std::optional<std::string> interface {};  ///< that the platform names
  std::string host_id{};                    ///< how the platform names this host
  int servers = 0;                          ///< of parameters, on whatever host
  bool tls = false;                         ///< between workers and those
};

/// Where processes of this host reach the store: job.store, whose host may be "every address".
std::string reachable_host(const Job& job);

/// The environment of the rank that is number `local_rank` on this host: that of the launcher, torchrun's variables and ours; one thread for OpenMP and BLAS
/// unless the user says otherwise. What another launcher around ours has set for its own ranks is taken out.
platform::Environment rank_environment(platform::Environment inherited, const Job& job, int local_rank);

/// The environment of parameter server `index`, which finds the job's store, and has no rank.
platform::Environment server_environment(platform::Environment inherited, const Job& job, int index);

/// The environment of a process that scores what the ranks commit and has no rank itself.
platform::Environment evaluator_environment(platform::Environment inherited, const Job& job);

}  // namespace trireme::cli
