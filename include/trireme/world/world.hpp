// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/bytes.hpp"
#include "trireme/base/device.hpp"
#include "trireme/base/error.hpp"
#include "trireme/base/log.hpp"
#include "trireme/comm/communicator.hpp"
#include "trireme/comm/memory.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>

namespace trireme {

namespace device {
class Runtime;
}  // namespace device

/// How a World is opened. Whatever is set here overrides the environment variable named beside it.
struct Options {
  std::optional<int> rank{};                   ///< RANK
  std::optional<int> world_size{};             ///< WORLD_SIZE
  std::optional<std::string> master{};         ///< MASTER_ADDR:MASTER_PORT: where the store is, "host:port"
  std::optional<std::string> transport{};      ///< TRIREME_TRANSPORT: auto, shm or tcp
  std::optional<std::string> engine{};         ///< TRIREME_ENGINE: auto (the host engine), host or mpi
  std::optional<std::string> device{};         ///< TRIREME_DEVICE: cpu (none), cuda:N, or cuda: by local rank, in turn
  std::optional<std::string> device_engine{};  ///< TRIREME_DEVICE_ENGINE: auto, nccl or device (ours)
  std::shared_ptr<device::Runtime> device_runtime{};   ///< whose devices; null: CUDA's
  std::optional<std::string> algorithm{};              ///< TRIREME_ALGORITHM: auto or an all_reduce algorithm
  std::optional<std::string> cache_groups{};           ///< TRIREME_CACHE_GROUPS: auto (all_reduce by caches) or off
  std::optional<std::chrono::milliseconds> timeout{};  ///< TRIREME_TIMEOUT_S: of an operation; 10 minutes
  std::optional<std::chrono::milliseconds> join_timeout{};  ///< TRIREME_JOIN_TIMEOUT_S: of open(); 15 minutes
  std::optional<std::string> interface {};  ///< TRIREME_INTERFACE: name or address, for tcp; all that are up
  std::optional<std::string> port_range{};  ///< TRIREME_PORT_RANGE: "first-last" to listen on; any
  std::optional<int> tcp_flows{};  ///< TRIREME_TCP_FLOWS: connections to each peer, 1 to 16; 1 within a host, else 4
  std::optional<Bytes> tcp_buffer_bytes{};      ///< TRIREME_TCP_BUFFER_BYTES: of the kernel, per connection; left to it
  std::optional<std::string> tcp_congestion{};  ///< TRIREME_TCP_CONGESTION: the kernel's, by name, or system
  std::optional<bool> progress_thread{};        ///< unset: only with a network link
  std::optional<Bytes> eager_bytes{};           ///< messages up to this size travel with their header; 8 KiB,
                                                ///< over TCP 64 KiB
  Bytes
      arena_reserve{};  ///< address space for arena memory; 0: the physical memory, 64 GiB at most, or what a limit of address space leaves
  std::optional<Log> log{};  ///< TRIREME_LOG (debug, info, warning, error, off): stderr
};

/// The ranks of a job, opened: finds the peers, connects to them, and owns what all communicators share. Move only.
///
/// Without a launcher it is a world of one, in which every call works and moves nothing.
/// Threads: open, close and the destructor from one thread; the rest from any.
class World {
 public:
  /// Joins the job that options and environment describe. Waits for the other ranks.
  /// The job key is taken out of the environment: under `trireme run` a process opens one World in its life.
  /// Errors: invalid_argument naming the variable or option; timeout naming the ranks that are missing; mismatch;
  ///         peer_lost.
  static World open(const Options& options = {});

  World(World&&) noexcept;
  World& operator=(World&&) noexcept;
  /// Closes. While an exception unwinds, the other ranks learn that this one failed.
  ~World();

  int rank() const;
  int size() const;
  int local_rank() const;
  /// Ranks on this host.
  int local_size() const;
  /// The communicator of all ranks. A cheap copy.
  Communicator communicator() const;
  Memory memory() const;
  /// How `peer` is reached: "self", "mem", "shm" or "tcp".
  std::string transport(int peer) const;
  std::string host(int peer) const;
  /// Who moves and combines: "host" or "mpi".
  const std::string& engine() const;
  /// This rank's device, whose memory collectives take; none: host memory only.
  std::optional<Device> device() const;
  /// What that device belongs to; null without one.
  std::shared_ptr<device::Runtime> device_runtime() const;
  /// The cause this world failed with, if it has.
  std::optional<Error> failure() const;
  /// Whether work that was given up when this world failed still runs on this rank's device, as far as is known. Giving memory or
  /// streams of the device back may then wait for ever: a program writes what it has to say and leaves with _Exit.
  bool device_hangs() const noexcept;

  /// Leaves in good order: the other ranks do not take it for a failure. Operations still under way fail. Idempotent.
  /// Where MPI was started by open(), waits for the other ranks to close, too, as MPI_Finalize does.
  void close();

 private:
  friend class WorldBuilder;
  struct Contents;
  void leave(bool failed);
  explicit World(std::unique_ptr<Contents> contents);
  std::unique_ptr<Contents> contents_;
};

}  // namespace trireme
