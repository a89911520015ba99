// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "comm/staging.hpp"
#include "trireme/base/error.hpp"
#include "trireme/base/work.hpp"
#include "trireme/comm/engine.hpp"
#include "trireme/transport/endpoint.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

namespace trireme::comm {

class Group;

/// One operation, pooled by its Group: what was asked, under which number, how far it is, how it ended.
class Operation final : public WorkState {
 public:
  enum class Phase : std::uint8_t { free, active, done };

  Request request{};
  std::uint64_t sequence = 0;  ///< of the collectives of the communicator, or of the sends (receives) to one peer
  transport::Stamp stamp{};
  Group* group = nullptr;              ///< set while not free
  std::shared_ptr<Group> keeper;       ///< of an operation somebody holds as Work: the group lives at least as long
  Engine* engine = nullptr;            ///< the group's that serves it; set while not free
  std::unique_ptr<EngineState> state;  ///< of the engine for host memory
  std::unique_ptr<EngineState> device_state;  ///< of that for device memory, if the group has one
  std::unique_ptr<EngineState> staged_state;  ///< of the one that this leaves operations to (Engine::make_staged_state)
  Staging staging;
  Error failure{};                           ///< code none: none
  std::int64_t issued_tick = 0;              ///< of ticks()
  bool head = false;                         ///< the oldest of its numbering: its time runs
  Deadline::Clock::time_point head_since{};  ///< when it was first seen as such; zero before
  bool stuck = false;                        ///< has failed and waits for the agreed cause: not to be polled
  bool warned = false;                       ///< the slow-operation warning is out
  bool observed = false;                     ///< somebody has seen the error
  bool published = false;                    ///< the status board has shown it

  Phase phase() const noexcept { return phase_.load(std::memory_order_acquire); }
  void set_phase(Phase phase) noexcept { phase_.store(phase, std::memory_order_release); }
  /// "all_reduce #17".
  std::string name() const;
  /// "all_reduce #17 'bucket 0'": with the label, if it has one.
  std::string title() const;

  // WorkState
  bool done() const noexcept override { return phase() == Phase::done; }
  bool drive(Deadline until) noexcept override;
  void order(Stream stream) noexcept override;
  const Error* error() const noexcept override { return done() && failure ? &failure : nullptr; }
  void release() noexcept override;

 private:
  std::atomic<Phase> phase_{Phase::free};
};

}  // namespace trireme::comm
