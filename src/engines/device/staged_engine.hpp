// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "comm/operation.hpp"
#include "engines/device/staging_area.hpp"
#include "trireme/comm/device_engine.hpp"

#include <memory>
#include <string>
#include <vector>

namespace trireme::engines::device {

/// The engine that takes everything: device memory is copied to pinned host memory, the communicator's engine for host
/// memory runs the operation there under the same number, and the result is copied back. The bits are that engine's.
/// Wherever devices are, and whether other ranks have one, makes no difference.
///
/// An operation goes through these moments, each begun by a poll that finds the one before passed, so nothing but copies is
/// ever left on a stream of the engine:
///   called    its stream has not come to it; its time does not run
///   arriving  input is copied to the host
///   ready     and waits for its turn: the host's engine is given all collectives in the order of their issue
///   moving    the host's engine runs it
///   leaving   output is copied to the device
class StagedEngine final : public comm::Engine {
 public:
  /// `area`: of another engine of this world, or null for one of its own.
  StagedEngine(const comm::DeviceRoom& room, std::shared_ptr<StagingArea> area);

  std::unique_ptr<comm::EngineState> make_state() override { return nullptr; }
  std::unique_ptr<comm::EngineState> make_staged_state() override;
  void start(comm::Operation& operation) override;
  comm::Progress poll(comm::Operation& operation) noexcept override;
  bool has_begun(const comm::Operation& operation) const noexcept override;
  bool meets_host_memory(const comm::Request&) const noexcept override { return true; }
  bool holds_back() const noexcept override { return !queue_.empty(); }
  /// False until the copy of the result is on its way: the host has work to do first.
  bool order(comm::Operation& operation, Stream stream) noexcept override;
  /// When copies under way have ended, or not for too long.
  bool has_let_go(comm::Operation& operation) noexcept override;
  void finish(comm::Operation& operation) noexcept override;
  void waiting_for(const comm::Operation& operation, std::vector<int>& world_ranks) const override;
  comm::Capabilities capabilities() const override;
  std::unique_ptr<comm::Engine> split(std::uint32_t id, std::vector<int> members, int rank) override;
  Explanation explain(const comm::Request& request) const override;

  const std::shared_ptr<StagingArea>& area() const { return area_; }

 private:
  struct State;
  static State& state_of(comm::Operation& operation);
  static const State& state_of(const comm::Operation& operation);
  void lay_out(const comm::Operation& operation, State& state);
  void copy_in(const comm::Request& request, State& state);
  void copy_out(const comm::Request& request, State& state);
  comm::Progress advance(comm::Operation& operation, State& state);
  bool begin_on_host(comm::Operation& operation, State& state);
  comm::Progress move(comm::Operation& operation, State& state);
  static bool at_rest(const State& state);
  void blame_device(comm::Operation& operation, ErrorCode code, const char* what) const noexcept;
  std::string name() const;

  comm::Engine& host_;
  const Device device_;
  const int world_rank_;
  const int rank_;
  std::shared_ptr<StagingArea> area_;
  std::vector<const comm::Operation*>
      queue_;  ///< collectives that the host's engine has not been given, in order of issue
};

}  // namespace trireme::engines::device
