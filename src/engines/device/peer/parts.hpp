// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engines/device/peer/itinerary.hpp"
#include "engines/device/peer/peer_engine.hpp"
#include "engines/device/peer/round.hpp"
#include "engines/device/peer/window.hpp"
#include "trireme/base/deadline.hpp"
#include "trireme/base/error.hpp"
#include "trireme/comm/device_engine.hpp"
#include "trireme/device/owned.hpp"
#include "trireme/layout/reduction_tree.hpp"
#include "trireme/transport/endpoint.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

namespace trireme::engines::device {

/// Wakes whoever sleeps in the endpoint, from a thread of the device's; outlives neither's owner by ringing.
class PeerBell {
 public:
  explicit PeerBell(transport::Endpoint& endpoint) : endpoint_(&endpoint) {}
  void ring() noexcept {
    const std::lock_guard lock(mutex_);
    if (endpoint_ != nullptr) endpoint_->wake();
  }
  void silence() noexcept {
    const std::lock_guard lock(mutex_);
    endpoint_ = nullptr;
  }

 private:
  std::mutex mutex_;
  transport::Endpoint* endpoint_;
};

/// What a peer engine has. Under the progress lock, but for what kernels write to.
struct PeerEngine::Parts {
  /// Operations launched whole, and launches of one, that are given to the stream at a time: more would wait in a queue of the
  /// driver, and the host with them.
  static constexpr std::size_t most_flying = 64;
  struct Program {
    int leaves;
    bool balanced;
    std::vector<std::int16_t> postfix;
    kernels::GroupedProgram groups;
  };

  explicit Parts(comm::DeviceRoom room_)
      : room(std::move(room_)),
        words(room.runtime, 4096),
        control_memory(room.runtime, 4096),
        control(new (control_memory.data()) peer::Control{}),
        stream(room.runtime, room.device.index),
        bell_stream(room.runtime, room.device.index),
        bell_rung(room.runtime, room.device.index),
        bell(std::make_unique<PeerBell>(room.room.endpoint)) {
    flying.reserve(most_flying);
  }

  const Program& program_of(int leaves);
  const std::vector<peer::Piece>& pieces_within(std::span<const TensorView> tensors, std::uint64_t size,
                                                peer::Itinerary::Range range);
  /// Why kernels have been told to leave, if those of the channel have told it.
  Error failure_of(std::size_t channel) const;
  void ring_after(const trireme::device::OwnedEvent& end);
  bool drained() noexcept;
  bool read_by_all(trireme::device::OwnedEvent& copied);

  comm::DeviceRoom room;
  peer::WindowLayout layout{};
  std::uint64_t one_shot_bytes = 0;
  peer::Windows windows;
  trireme::device::PinnedBuffer words;
  trireme::device::PinnedBuffer control_memory;
  peer::Control* control;
  trireme::device::OwnedStream stream;
  trireme::device::OwnedStream bell_stream;
  trireme::device::OwnedEvent bell_rung;
  std::unique_ptr<PeerBell> bell;
  std::array<peer::Round, peer::Windows::channels> rounds{};  ///< what is alike in all launches stays in them
  std::vector<Program> programs;
  std::vector<peer::Piece> pieces;
  std::vector<comm::Operation*> line;    ///< not launched to their ends, oldest first
  std::vector<comm::Operation*> flying;  ///< launched to their ends, which have not been seen to pass
  bool disputed = false;
  bool broken = false;                 ///< a launch was refused: nothing is launched any more
  std::optional<Deadline> patience{};  ///< with kernels that were told to leave
  std::atomic<bool> abandoned{false};  ///< a kernel did not leave
};

}  // namespace trireme::engines::device
