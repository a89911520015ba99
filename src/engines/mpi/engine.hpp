// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "comm/host_engine.hpp"
#include "engines/mpi/lane.hpp"
#include "engines/mpi/session.hpp"
#include "trireme/comm/engine.hpp"

#include <array>
#include <memory>
#include <vector>

namespace trireme::engines::mpi {

/// The engine whose collectives move through MPI: in the fastest order its own reductions, in the canonical its all-to-all,
/// our ordered kernel and its all-gather. Sends and receives go over our transports, whose messages carry the signature.
class Engine final : public comm::Engine {
 public:
  /// Collective among the members: makes their MPI communicators.
  /// Errors: as Session::communicators.
  Engine(std::shared_ptr<Session> session, comm::EngineRoom room);
  ~Engine() override;

  std::unique_ptr<comm::EngineState> make_state() override { return transfers_.make_state(); }
  void start(comm::Operation& operation) override;
  comm::Progress poll(comm::Operation& operation) noexcept override;
  void finish(comm::Operation& operation) noexcept override;
  void waiting_for(const comm::Operation& operation, std::vector<int>& world_ranks) const override;
  comm::Capabilities capabilities() const override {
    return {.name = "mpi", .device = DeviceKind::cpu, .canonical = true};
  }
  std::unique_ptr<comm::Engine> split(std::uint32_t id, std::vector<int> members, int rank) override;
  Explanation explain(const comm::Request& request) const override;

 private:
  /// Operations take the lanes in turn, so that one combines while the next moves.
  static constexpr std::size_t lane_count = 2;
  struct Track {
    std::unique_ptr<Lane> lane;
    std::uint64_t next = 0;  ///< the operation that runs on it now or will be the first to
  };
  Track& track_of(const comm::Operation& operation) { return tracks_[operation.sequence % lane_count]; }

  std::shared_ptr<Session> session_;
  Surroundings surroundings_;
  comm::HostEngine transfers_;
  std::array<Track, lane_count> tracks_;
};

/// What `world` hands down to make engines of this kind.
comm::EngineFactory factory(std::shared_ptr<Session> session);

}  // namespace trireme::engines::mpi
