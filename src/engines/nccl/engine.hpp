// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "comm/operation.hpp"
#include "engines/nccl/clique.hpp"
#include "engines/nccl/collectives.hpp"
#include "engines/nccl/ending.hpp"
#include "engines/nccl/factory.hpp"
#include "engines/nccl/operation_state.hpp"
#include "engines/nccl/registered_memory.hpp"
#include "engines/nccl/surroundings.hpp"
#include "engines/nccl/transfers.hpp"
#include "trireme/comm/device_engine.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace trireme::engines::nccl {

/// The engine for device memory whose bytes NCCL moves: in the fastest order by its own reductions, in the canonical by an
/// exchange of blocks, our ordered kernel and an all-gather.
///
/// Operations are given to the engine's stream in the order of their numbers, at once when NCCL can take them; sends and
/// receives to a stream of their own. Nothing of it waits for the device or for other ranks.
class Engine final : public comm::Engine {
 public:
  /// Collective: compares versions and devices of the members, makes their NCCL communicators, connects them.
  /// Errors: unsupported, mismatch, device, timeout, peer_lost.
  Engine(std::shared_ptr<Library> library, comm::DeviceRoom room, const EngineOptions& options);
  ~Engine() override;

  std::unique_ptr<comm::EngineState> make_state() override;
  void start(comm::Operation& operation) override;
  comm::Progress poll(comm::Operation& operation) noexcept override;
  bool order(comm::Operation& operation, Stream stream) noexcept override;
  /// When NCCL has, or does not for too long.
  bool has_let_go(comm::Operation& operation) noexcept override;
  void finish(comm::Operation& operation) noexcept override;
  bool has_begun(const comm::Operation& operation) const noexcept override;
  bool can_order(const comm::Operation&) const noexcept override { return true; }
  void waiting_for(const comm::Operation& operation, std::vector<int>& world_ranks) const override;
  comm::Capabilities capabilities() const override {
    return {.name = "nccl", .device = DeviceKind::cuda, .canonical = true};
  }
  /// Not this way: the factory makes every communicator's.
  std::unique_ptr<comm::Engine> split(std::uint32_t id, std::vector<int> members, int rank) override;
  Explanation explain(const comm::Request& request) const override;
  /// By NCCL's allocator; null where it has nothing to know memory by.
  std::shared_ptr<comm::DeviceBlock> allocate(std::size_t bytes) override;
  bool knows_memory() const noexcept override { return can_register(surroundings_.nccl->calls()); }
  void know(const std::shared_ptr<comm::DeviceBlock>& block) override;
  void forget(const std::shared_ptr<comm::DeviceBlock>& block) noexcept override;
  void left_out() noexcept override { shrunk_ = true; }  // perhaps
  void abort() noexcept override;
  bool hangs() const noexcept override;

 private:
  /// touching_, unless somebody has had it for as long as a call of NCCL may take.
  std::unique_lock<std::mutex> touch_soon() const noexcept;
  /// touching_, when nobody deregisters memory.
  std::unique_lock<std::mutex> touch_in_turn() const;
  void greet(comm::Operation& operation, OperationState& state);
  /// The operation is no longer ours.
  void drop(comm::Operation& operation) noexcept;
  void open(comm::DeviceRoom& room);
  void join(comm::DeviceRoom& room, const Clique::Waiting& waiting);
  void connect(const Clique::Waiting& waiting);
  void await_device(Clique& clique, const Clique::Waiting& waiting);
  void wait_a_moment(const Clique::Waiting& waiting);
  bool advance();
  bool advance_collectives();
  void blame(comm::Operation* operation, const Error& error) noexcept;
  comm::Progress fail(comm::Operation& operation) const noexcept;
  void let_go(bool orderly) noexcept;
  /// Errors: closed.
  void check_open() const;
  /// Whether NCCL may be asked to split it: nothing is under way, nothing has failed.
  bool can_split() const { return active_ == 0 && !stuck_ && !ended_; }

  Surroundings surroundings_;
  EngineOptions options_;
  std::optional<Clique> clique_;  // of collectives
  std::optional<Clique> transfers_clique_;
  device::OwnedStream stream_;
  device::OwnedStream transfers_stream_;
  std::optional<Collectives> collectives_;
  std::optional<Transfers> transfers_;
  std::vector<comm::Operation*> waiting_;  // collectives not given whole, in order
  std::atomic<std::size_t> active_{0};     // collectives started and not finished
  std::atomic<bool> stuck_{false};         // something failed: nothing more is given to the device
  std::atomic<bool> shrunk_{false};        // some of its members have made a communicator without the others
  std::atomic<bool> ended_{false};
  Registrations registrations_;
  /// A thread has NCCL deregister memory, and holds no lock: collectives are given to nobody, and the communicator is not ended.
  /// Written under touching_.
  std::shared_ptr<std::atomic<bool>> forgetting_ = std::make_shared<std::atomic<bool>>(false);
  std::vector<device::Buffer> spent_;  // that connecting used
  Farewell farewell_;
  std::chrono::steady_clock::time_point ended_at_{};
  /// Held around all that touches NCCL's communicators, never while waiting: the watcher may end them at any time.
  mutable std::mutex touching_;
  std::optional<std::chrono::steady_clock::time_point> other_failed_since_;
};

}  // namespace trireme::engines::nccl
