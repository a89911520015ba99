// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/deadline.hpp"
#include "trireme/rendezvous/cause.hpp"

#include <chrono>
#include <memory>

namespace trireme::rendezvous {

/// The rank's side of what arrives on the control channel. Called on the channel's one thread, whatever the rank's own
/// threads do; must not block, and must not destroy its channel. Not called after leave() or the channel's destructor.
class ControlListener {
 public:
  virtual Status status() noexcept = 0;
  virtual void verdict(const Cause& cause) noexcept = 0;

 protected:
  ~ControlListener() = default;
};

/// A rank's connection to the coordinator of its world, apart from the data path: one sleeping thread per World. The
/// coordinator going away without a verdict is itself a verdict: peer_lost, "the launcher … is gone".
class ControlChannel {
 public:
  /// Leaves if leave() was not called: as a loss when `abandon()` was, in good order otherwise. Bounded; joins its thread.
  virtual ~ControlChannel() = default;
  /// Tells the coordinator of a local failure. Does not block.
  virtual void report(const Cause& cause) noexcept = 0;
  /// Says goodbye: from now on this rank's silence is no failure. Waits up to 1 s until the coordinator has heard it.
  /// Idempotent.
  virtual void leave() noexcept = 0;
  /// From now on the end of this channel counts as a failure of this rank (its owner is unwinding).
  virtual void abandon() noexcept = 0;
};

/// A coordinator shared by the threads of one process, one member per rank.
class InProcessControl {
 public:
  explicit InProcessControl(int world_size, std::chrono::milliseconds collection = std::chrono::milliseconds(200));
  ~InProcessControl();
  /// Errors: invalid_argument when `rank` is outside the world or there already.
  std::unique_ptr<ControlChannel> open(int rank, ControlListener& listener) const;

 private:
  struct Hub;
  std::shared_ptr<Hub> hub_;
};

}  // namespace trireme::rendezvous
