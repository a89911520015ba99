// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/device_engine.hpp"
#include "trireme/comm/engine.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace trireme::engines::device {

namespace peer {
struct Round;
}

struct PeerOptions {
  /// Of each of four slots of device memory per rank: longer operations go in rounds. At least 4 KiB per rank.
  std::uint64_t slot_bytes = std::uint64_t{8} << 20;
  /// Up to here every rank reduces everything; above, its part, and all share the results.
  std::uint64_t one_shot_bytes = std::uint64_t{256} << 10;
  /// Blocks of a kernel at most; 0: half of the multiprocessors, shared by the ranks of the device.
  unsigned blocks = 0;
};

/// The engine for ranks whose devices reach each other's memory: kernels stage in device memory, meet, and read what the
/// others have staged. See README.md for how, and for why they cannot starve each other.
///
/// On a stream that is being captured, an operation is recorded and its Work is done at once. What is recorded works at
/// every launch of the graph, which all ranks must launch equally often, in one order, one launch after the other.
/// Order:   collectives of a communicator run one after the other on a stream of the engine, behind the stream that each
///          was given.
/// Errors:  mismatch, timeout as everywhere; a meeting of a captured operation that takes longer than the operation's
///          deadline ends with `timeout` at the next call.
class PeerEngine final : public comm::Engine {
 public:
  ~PeerEngine() override;

  /// Whether it serves such requests: alike on all ranks. Not sends and receives, nor all_to_all of uneven blocks, whose sizes
  /// only pairs of ranks know.
  bool takes(const comm::Request& request) const;

  std::unique_ptr<comm::EngineState> make_state() override;
  void start(comm::Operation& operation) override;
  comm::Progress poll(comm::Operation& operation) noexcept override;
  bool has_begun(const comm::Operation& operation) const noexcept override;
  bool can_order(const comm::Operation&) const noexcept override { return true; }
  bool order(comm::Operation& operation, Stream stream) noexcept override;
  /// When its kernels have left, or 5 s after those of this engine were first told to.
  bool has_let_go(comm::Operation& operation) noexcept override;
  void finish(comm::Operation& operation) noexcept override;
  void waiting_for(const comm::Operation& operation, std::vector<int>& world_ranks) const override;
  comm::Capabilities capabilities() const override {
    return {.name = "peer", .device = DeviceKind::cuda, .canonical = true};
  }
  /// Errors: unsupported: a sub-communicator's engine is made by make_peer_engine().
  std::unique_ptr<comm::Engine> split(std::uint32_t id, std::vector<int> members, int rank) override;
  Explanation explain(const comm::Request& request) const override;
  /// Kernels that wait leave.
  void abort() noexcept override;
  bool hangs() const noexcept override;

 private:
  struct Parts;
  explicit PeerEngine(std::unique_ptr<Parts> parts);
  friend std::unique_ptr<PeerEngine> make_peer_engine(comm::DeviceRoom room, const PeerOptions& options);

  bool advance();
  void launch(comm::Operation& operation, Stream stream, std::size_t channel, std::uint64_t most);
  void launch_round(trireme::device::Queue queue, const comm::Operation& operation, std::uint64_t index,
                    peer::Round& round);
  comm::Progress look_into(comm::Operation& operation, bool passed) noexcept;

  std::unique_ptr<Parts> parts_;
};

/// Collective among the members. Null, on all of them alike, where one does not reach another's device memory: on several
/// hosts, without peer access, where some ranks have no device, or for want of memory.
/// Errors: invalid_argument for settings out of range.
std::unique_ptr<PeerEngine> make_peer_engine(comm::DeviceRoom room, const PeerOptions& options = {});

}  // namespace trireme::engines::device
