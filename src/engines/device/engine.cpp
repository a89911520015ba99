// SPDX-License-Identifier: Apache-2.0
#include "engines/device/engine.hpp"

#include "trireme/base/error.hpp"

#include <utility>

namespace trireme::engines::device {
namespace {

/// What the engine that this one's communicator was split from uses.
std::shared_ptr<StagingArea> area_of(const comm::Engine* parent) {
  const auto* engine = dynamic_cast<const Engine*>(parent);
  return engine != nullptr ? engine->area() : nullptr;
}

}  // namespace

Engine::Engine(const comm::DeviceRoom& room, Settings settings) : staged_(room, area_of(room.parent)) {
  // Ranks without a device make no engine: nothing that is collective may happen. An MPI runs all collectives of its
  // communicator, or none: it counts them.
  if (settings.peer && room.everywhere && room.host.capabilities().name != "mpi")
    peer_ = make_peer_engine(room, settings.peers);
}

bool Engine::goes_to_peers(const comm::Request& request) const noexcept {
  return peer_ && request.on_device() && peer_->takes(request);
}

void Engine::start(comm::Operation& operation) {
  comm::Engine& serving = goes_to_peers(operation.request) ? static_cast<comm::Engine&>(*peer_) : staged_;
  operation.engine = &serving;
  serving.start(operation);
}

/// Never asked: the operation's engine is another from its start on.
comm::Progress Engine::poll(comm::Operation&) noexcept { return comm::Progress::failed; }
void Engine::finish(comm::Operation&) noexcept {}

bool Engine::meets_host_memory(const comm::Request& request) const noexcept { return !goes_to_peers(request); }

std::unique_ptr<comm::Engine> Engine::split(std::uint32_t, std::vector<int>, int) {
  fail(ErrorCode::unsupported, "device engines are made by their factory");
}

Explanation Engine::explain(const comm::Request& request) const {
  return goes_to_peers(request) ? peer_->explain(request) : staged_.explain(request);
}

comm::DeviceEngineFactory factory(Settings settings) {
  return [settings](comm::DeviceRoom room) -> std::unique_ptr<comm::Engine> {
    return std::make_unique<Engine>(room, settings);
  };
}

}  // namespace trireme::engines::device
