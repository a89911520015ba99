// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engines/device/peer/peer_engine.hpp"
#include "engines/device/staged_engine.hpp"
#include "trireme/comm/device_engine.hpp"

#include <memory>
#include <vector>

namespace trireme::engines::device {

struct Settings {
  bool peer = true;     ///< whether kernels over peer access are used where they can be; the same on all ranks
  PeerOptions peers{};  ///< of those kernels
};

/// Our engine for device memory: kernels over peer access where all members reach each other and the operation is of that
/// kind, else through host memory.
class Engine final : public comm::Engine {
 public:
  /// Collective where every rank of the world has a device.
  Engine(const comm::DeviceRoom& room, Settings settings);

  std::unique_ptr<comm::EngineState> make_state() override { return peer_ ? peer_->make_state() : nullptr; }
  std::unique_ptr<comm::EngineState> make_staged_state() override { return staged_.make_staged_state(); }
  /// From here on the operation's engine is the one that serves it.
  void start(comm::Operation& operation) override;
  comm::Progress poll(comm::Operation& operation) noexcept override;
  bool meets_host_memory(const comm::Request& request) const noexcept override;
  bool holds_back() const noexcept override { return staged_.holds_back(); }
  void finish(comm::Operation& operation) noexcept override;
  void waiting_for(const comm::Operation&, std::vector<int>&) const override {}
  comm::Capabilities capabilities() const override { return staged_.capabilities(); }
  std::unique_ptr<comm::Engine> split(std::uint32_t id, std::vector<int> members, int rank) override;
  Explanation explain(const comm::Request& request) const override;
  void abort() noexcept override {
    if (peer_) peer_->abort();
  }
  bool hangs() const noexcept override { return peer_ && peer_->hangs(); }

  const std::shared_ptr<StagingArea>& area() const { return staged_.area(); }

 private:
  bool goes_to_peers(const comm::Request& request) const noexcept;
  StagedEngine staged_;
  std::unique_ptr<PeerEngine> peer_;  ///< null: all goes through host memory
};

/// What `world` hands down to make engines of this kind.
comm::DeviceEngineFactory factory(Settings settings = {});

}  // namespace trireme::engines::device
