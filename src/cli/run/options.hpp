// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/net/socket.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace trireme::cli {

/// What `trireme run` was asked to do, checked.
struct RunOptions {
  int ranks = 0;
  net::Address rendezvous{"127.0.0.1", 0};
  bool bind_cores = false;
  std::optional<std::string> log_dir;
  std::chrono::milliseconds grace{120000};  ///< for all ranks to end after a forwarded signal that asks them to
  std::optional<std::chrono::milliseconds> failure_grace;  ///< between the first failure and SIGTERM to the survivors
  int interrupted_exit_code = 143;                         ///< of ranks that stopped in order before their end
  std::optional<std::chrono::milliseconds> join_timeout;
  int nnodes = 1;                         ///< hosts, each with a launcher; they meet at `rendezvous`
  int node_rank = 0;                      ///< index of this one
  std::string node_name{};                ///< how the platform names it; empty: as it calls itself
  std::vector<std::string> node_names{};  ///< of all, where the platform lists them
  int evaluators = 0;                     ///< beside the ranks, on node 0
  int servers = 0;                        ///< of parameters, likewise
  int server_restarts = 3;                ///< how often lost ones are started again, all together
  int remote_servers = 0;                 ///< that the platform starts on hosts of their own
  bool tls = false;                       ///< between workers and parameter servers
  std::vector<std::string> command;       ///< PROGRAM ARGS…, never empty

  /// Whether processes that other hosts start must find this job.
  bool spans_hosts() const { return nnodes > 1 || remote_servers > 0; }
};

/// Nothing when --help was asked for (and printed).
/// Errors: invalid_argument, unsupported, in one line.
std::optional<RunOptions> parse_run_options(const std::vector<std::string>& arguments);

}  // namespace trireme::cli
