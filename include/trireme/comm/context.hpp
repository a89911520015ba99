// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/deadline.hpp"
#include "trireme/base/log.hpp"
#include "trireme/comm/communicator.hpp"
#include "trireme/comm/device_engine.hpp"
#include "trireme/comm/engine.hpp"
#include "trireme/plan/graph.hpp"
#include "trireme/rendezvous/control.hpp"
#include "trireme/transport/arena.hpp"
#include "trireme/transport/doorbell.hpp"
#include "trireme/transport/link.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace trireme::comm {

/// Which ranks sit behind one last-level cache. An all_reduce in common memory then goes in two levels, so that less is
/// read and written across caches; never other bits.
struct CacheGroups {
  bool automatic = true;         ///< false: never in two levels
  std::vector<int> domain_of{};  ///< per rank, equal numbers for one cache; negative: unknown. Empty: all unknown
  std::size_t from_bytes = std::size_t{1} << 20;  ///< of the vector; below, one level has fewer hand-offs
};

/// What all communicators of one World share, as plain settings: given by `world`, which alone reads the environment.
struct ContextOptions {
  int rank = 0;
  int world_size = 1;
  std::uint64_t epoch = 0;
  std::vector<std::string> hosts{};  ///< per rank, for messages
  std::vector<int> host_of{};        ///< per rank, equal numbers for one host, the same on all ranks; empty: unknown
  std::vector<std::string> transports{};  ///< per rank: how it is reached ("shm", "tcp", "mem"; own: "self")
  bool crosses_network = false;           ///< whether any two ranks of the world use tcp: the same on all ranks
  bool crosses_hosts = false;             ///< whether ranks are on different hosts
  bool ranks_fit_cores = true;            ///< whether waiting may spin
  std::chrono::milliseconds timeout = std::chrono::minutes(10);
  Deadline join_until =
      Deadline::never();  ///< how long the communicator of all ranks may take to be made; never: `timeout`
  std::chrono::milliseconds warn_after = std::chrono::seconds(10);
  /// How long the control channel has for a verdict before what this rank found counts. Of a coordinator that is cut off ranks hear at moments that differ
  /// by the 2 s between keepalive probes, and who hears first closes its links: for so long its end is no cause.
  std::chrono::milliseconds verdict_wait = std::chrono::milliseconds(3000);
  std::optional<plan::Algorithm> algorithm{};  ///< of all_reduce; unset: chosen by cost
  std::optional<std::size_t> eager_bytes{};
  CacheGroups cache_groups{};  ///< the same on all ranks
  bool progress_thread = false;
  EngineFactory make_engine{};  ///< of the communicator of all ranks; empty: the host engine
  DeviceOptions devices{};      ///< for device memory
  bool engine_rings = true;     ///< whether what arrives for the engine ends a sleep; if not, naps stay short
  Log log{};
  std::shared_ptr<transport::Arena> arena{};
  std::shared_ptr<transport::Doorbell> doorbell{};
  /// Opens the control channel; empty in a world of one.
  std::function<std::unique_ptr<rendezvous::ControlChannel>(rendezvous::ControlListener&)> open_control{};
};

/// Takes the links (index: rank; null for itself) and opens the control channel.
/// Errors: as the control channel's opening.
std::shared_ptr<Context> open_context(ContextOptions options, std::vector<std::unique_ptr<transport::Link>> links);

/// The communicator of all ranks. Once per context.
Communicator make_communicator(const std::shared_ptr<Context>& context);

/// Ends the context: in good order (peers see it leave), or as a failure of this rank when `failed`. Operations still
/// under way fail with `closed`. In good order it waits up to `patience` for the peers to leave as well; false
/// when one was lost, or anything had failed; who is late is not lost. Bounded; idempotent. Copies of communicators stay valid and fail.
bool close_context(const std::shared_ptr<Context>& context, bool failed,
                   std::chrono::nanoseconds patience = std::chrono::seconds(1)) noexcept;

/// Whether work that was given up when the world failed still runs on this rank's device, as far as is known.
bool device_hangs(const std::shared_ptr<Context>& context) noexcept;

/// The cause the world failed with, if it has.
std::optional<Error> failure_of(const std::shared_ptr<Context>& context);

}  // namespace trireme::comm
