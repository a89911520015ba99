// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "transport/ring.hpp"
#include "trireme/transport/doorbell.hpp"
#include "trireme/transport/link.hpp"

#include <cerrno>

namespace trireme::transport {

/// The part that links over byte rings have in common, whoever owns the rings. A derived class adds how memory is lent
/// and how the death of the peer shows.
class RingLink : public Link {
 public:
  std::size_t write(std::span<const std::span<const std::byte>> parts) noexcept final {
    if (state_ != LinkState::open || ended_) return 0;
    const std::size_t taken = out_.write(parts);
    if (taken != 0 && out_.reader_must_wake()) Doorbell::ring(peer_doorbell_);
    return taken;
  }

  std::size_t read(std::span<std::byte> into) noexcept final {
    if (state_ != LinkState::open) return 0;
    // The end mark is looked at first: bytes written before it are then visible and are read before it counts.
    const RingEnd end = in_.ended();
    const std::size_t count = in_.read(into);
    if (count != 0) {
      if (in_.writer_must_wake()) Doorbell::ring(peer_doorbell_);
    } else if (end != RingEnd::open) {
      state_ = end == RingEnd::closed ? LinkState::closed : LinkState::lost;
    }
    return count;
  }

  bool arm(bool for_writing) noexcept final {
    if (state_ != LinkState::open) return false;
    in_.set_sleeping(true);
    if (in_.has_bytes() || in_.ended() != RingEnd::open) return false;
    if (for_writing) {
      out_.set_sleeping(true);
      if (out_.has_room()) return false;
    }
    return true;
  }
  void disarm() noexcept final {
    in_.set_sleeping(false);
    out_.set_sleeping(false);
  }

  void nudge() noexcept final {
    if (out_.reader_must_wake()) Doorbell::ring(peer_doorbell_);
  }

  LinkState state() const noexcept final { return state_; }
  int errno_value() const noexcept final { return state_ == LinkState::lost ? ECONNRESET : 0; }
  void close() noexcept final { end(RingEnd::closed); }

 protected:
  RingLink(RingWriter out, RingReader in, int peer_doorbell) : out_(out), in_(in), peer_doorbell_(peer_doorbell) {}

  void end(RingEnd how) noexcept {
    if (ended_) return;
    ended_ = true;
    out_.end(how);
    Doorbell::ring(peer_doorbell_);
  }
  /// The peer can write no more; what it wrote is still read first.
  void peer_vanished() noexcept {
    if (!in_.has_bytes() && state_ == LinkState::open) {
      state_ = in_.ended() == RingEnd::closed ? LinkState::closed : LinkState::lost;
    }
  }
  void set_peer_doorbell(int descriptor) { peer_doorbell_ = descriptor; }

 private:
  RingWriter out_;
  RingReader in_;
  int peer_doorbell_;
  bool ended_ = false;
  LinkState state_ = LinkState::open;
};

}  // namespace trireme::transport
