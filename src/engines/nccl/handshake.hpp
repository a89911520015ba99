// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/engine.hpp"
#include "trireme/transport/endpoint.hpp"

#include <cstddef>
#include <functional>
#include <vector>

namespace trireme::engines::nccl {

/// Empty messages by which the ranks of an operation tell each other what they have called. Whoever gets one with another
/// signature tells the world (EndpointListener::mismatched). Must stay where it is while over() is false.
class Handshake {
 public:
  /// The index of these messages: beyond those of any plan.
  static constexpr std::uint32_t index = 0xffff0000u;

  void clear() { count_ = 0; }
  /// Every rank to the next one, in a ring: some adjacent pair sees every difference.
  void ring(const comm::EngineRoom& room, const transport::MessageKey& key, const transport::Stamp& stamp) {
    const std::size_t ranks = room.members.size(), self = static_cast<std::size_t>(room.rank);
    if (ranks < 2) return;
    meet(room, room.members[(self + 1) % ranks], room.members[(self + ranks - 1) % ranks], key, stamp, stamp);
  }
  /// With each rank by itself: `stamp_of(rank, outgoing)`.
  template <class StampOf>
  void pairs(const comm::EngineRoom& room, const transport::MessageKey& key, StampOf stamp_of) {
    reserve(room.members.size());
    for (std::size_t r = 0; r < room.members.size(); ++r) {
      if (static_cast<int>(r) == room.rank) continue;
      meet(room, room.members[r], room.members[r], key, stamp_of(r, true), stamp_of(r, false));
    }
  }
  void reserve(std::size_t ranks) {
    if (parts_.size() < ranks) parts_.resize(ranks);
  }

  /// Whether all that was to be heard has been.
  bool heard() const {
    return all([](const Part& part) { return part.from.state == transport::RequestState::done; });
  }
  bool over() const {
    return heard() && all([](const Part& part) { return part.to.state == transport::RequestState::done; });
  }
  /// The world rank whose message will never come, or was another than expected; -1: none.
  int missing() const {
    for (std::size_t i = 0; i < count_; ++i) {
      if (parts_[i].from.state == transport::RequestState::failed) return parts_[i].from.peer;
      if (parts_[i].to.state == transport::RequestState::failed) return parts_[i].to.peer;
    }
    return -1;
  }
  void waiting_for(std::vector<int>& world_ranks) const {
    for (std::size_t i = 0; i < count_; ++i) {
      if (parts_[i].from.state != transport::RequestState::done) world_ranks.push_back(parts_[i].from.peer);
    }
  }

 private:
  struct Part {
    transport::SendRequest to;
    transport::ReceiveRequest from;
  };
  template <class Holds>
  bool all(Holds holds) const {
    for (std::size_t i = 0; i < count_; ++i) {
      if (!holds(parts_[i])) return false;
    }
    return true;
  }
  void meet(const comm::EngineRoom& room, int next, int previous, transport::MessageKey key,
            const transport::Stamp& ours, const transport::Stamp& expected) {
    reserve(count_ + 1);
    key.index = index;
    Part& part = parts_[count_++];
    part.from = {.peer = previous, .key = key, .stamp = expected};
    part.to = {.peer = next, .key = key, .stamp = ours};
    room.endpoint.receive(part.from);
    room.endpoint.send(part.to);
  }
  std::vector<Part> parts_;
  std::size_t count_ = 0;
};

}  // namespace trireme::engines::nccl
