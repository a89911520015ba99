// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/context.hpp"
#include "trireme/net/job_key.hpp"
#include "trireme/plan/graph.hpp"
#include "trireme/platform/cluster_spec.hpp"
#include "trireme/transport/tcp.hpp"
#include "trireme/world/world.hpp"

#include <optional>
#include <string>

namespace trireme {

/// Options and environment settled into values, each checked. The only reader of the environment in the library.
struct Settings {
  platform::ClusterSpec cluster;
  net::JobKey key;
  std::string transport = "auto";      ///< auto, mem, shm, tcp
  std::string engine = "host";         ///< host, mpi
  std::string mpi_module{};            ///< the file; empty: where it is installed
  std::string nccl_library{};          ///< the file; empty: libnccl.so.2 as the loader finds it
  comm::DeviceOptions devices{};       ///< no runtime: this rank has none
  std::string device_engine = "auto";  ///< auto, nccl, device
  std::optional<plan::Algorithm> algorithm{};
  comm::CacheGroups cache_groups{};  ///< domains: pretended ones, in tests; empty: what the ranks' cards say
  std::chrono::milliseconds timeout = std::chrono::minutes(10);
  std::chrono::milliseconds join_timeout = std::chrono::minutes(15);
  transport::TcpOptions tcp{};
  bool server_tls = false;   ///< between workers and parameter servers
  std::string tcp_origin{};  ///< "; TRIREME_INTERFACE is 'eth7'": what set `tcp`, to stand behind a refusal of it
  std::optional<bool> progress_thread{};
  std::optional<std::size_t> eager_bytes{};
  Bytes arena_reserve{};
  Log log{};
};

/// Whether the ranks know no meeting point and must meet through MPI.
inline bool meets_through_mpi(const Settings& settings) {
  return settings.cluster.world > 1 && !settings.cluster.master;
}

/// Errors: invalid_argument naming the variable or option and its value.
Settings settle(const Options& options, const platform::Environment& environment);

/// Refuses to be what is no rank: a host whose ranks are still to be started, and other roles than a worker's.
void require_rank(const platform::ClusterSpec& cluster);

/// Takes the variables that hold secrets out of this process's environment, so that children and crash reports do not
/// have them. Not safe while other threads read the environment; hence at the start of World::open.
void scrub_secrets();

}  // namespace trireme
