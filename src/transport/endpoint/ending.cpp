// SPDX-License-Identifier: Apache-2.0
#include "transport/endpoint/peer.hpp"
#include "trireme/transport/endpoint.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

namespace trireme::transport {

LinkState Endpoint::Peer::state() const {
  if (half_ended) return LinkState::lost;
  bool open = lanes.empty();
  for (const Lane& lane : lanes) {
    if (lane.link->state() == LinkState::lost) return LinkState::lost;
    open |= lane.link->state() == LinkState::open;
  }
  return open ? LinkState::open : LinkState::closed;
}

void Endpoint::fail_requests(Peer& peer) noexcept {
  for (auto* list : {&peer.queue, &peer.streams, &peer.offered}) {
    while (SendRequest* request = list->pop_front()) request->state = RequestState::failed;
  }
  for (Lane& lane : peer.lanes) {
    if (lane.writing_request != nullptr) std::exchange(lane.writing_request, nullptr)->state = RequestState::failed;
    if (lane.sink_request != nullptr && lane.sink == Lane::Sink::receive)
      lane.sink_request->state = RequestState::failed;
    lane.sink_request = nullptr;
    lane.busy = false;
  }
  while (ReceiveRequest* request = peer.posted.pop_front()) request->state = RequestState::failed;
  peer.posted_for_any_lane = 0;
  while (ReceiveRequest* request = peer.accepted.pop_front()) peer.end_pieces(*request, RequestState::failed);
  peer.control.clear();
  peer.control_begin = 0;
}

/// A peer in good order ends all its lanes at once, but the ends do not come together; a lane that is lost, or ends alone,
/// takes the peer with it. What the others have brought by then is read first: it may say why.
void Endpoint::look_for_end(Peer& peer, bool moved) noexcept {
  if (peer.ended) return;
  bool any_ended = false, all_ended = true, any_lost = false;
  for (Lane& lane : peer.lanes) {
    const LinkState state = lane.link->state();
    any_lost |= state == LinkState::lost;
    if (state == LinkState::open) {
      all_ended = false;
    } else {
      any_ended = true;
      lane.at_end = true;
      unwatch(lane);  // it would end every sleep at once
    }
  }
  if (!any_ended) return;
  if (!peer.patience) {
    peer.patience = Deadline::after(options_.lane_patience);
    if (!all_ended) return;  // what the others have brought by now is looked for first
  }
  if (!all_ended && !(any_lost && !moved) && !peer.patience->passed()) return;
  peer.half_ended = !all_ended;
  end_peer(peer);
}

void Endpoint::end_peer(Peer& peer) noexcept {
  if (!give_up(peer) || listener_ == nullptr) return;
  const LinkState how = peer.state();
  int errno_value = how == LinkState::lost ? ECONNRESET : 0;
  for (const Lane& lane : peer.lanes) {
    if (lane.link->errno_value() != 0) errno_value = lane.link->errno_value();
  }
  listener_->peer_ended(peer.rank, how, errno_value);
}

/// False if it had ended already.
bool Endpoint::give_up(Peer& peer) noexcept {
  if (peer.ended) return false;
  peer.ended = true;
  for (Lane& lane : peer.lanes) unwatch(lane);
  fail_requests(peer);
  return true;
}

void Endpoint::corrupt(Peer& peer, std::string_view what) noexcept {
  if (give_up(peer) && listener_ != nullptr) listener_->corrupted(peer.rank, what);
}

void Endpoint::abort() noexcept {
  for (auto& slot : peers_) {
    if (!slot->ended) {
      slot->ended = true;
      fail_requests(*slot);
    }
    slot->lanes.clear();  // also of one given up before: its peer is still waiting on it
  }
}

bool Endpoint::close(Deadline deadline) noexcept {
  // Short sleeps: a peer's last word may not ring.
  const auto nap = [&] {
    sleep(Deadline::at(std::min(deadline.moment(), Deadline::Clock::now() + std::chrono::milliseconds(20))));
  };
  bool open = true;
  while (open && !deadline.passed()) {  // what is queued goes out first
    open = false;
    for (auto& slot : peers_) {
      if (!slot->open() || !slot->wants_to_write()) continue;
      flush(*slot);
      open |= slot->wants_to_write() && slot->state() == LinkState::open;
    }
    if (open && !progress()) nap();
  }
  for (auto& slot : peers_) {
    for (Lane& lane : slot->lanes) {
      // Who left before in good order gets the same word back: it may be waiting for it.
      if (!slot->ended || slot->state() == LinkState::closed) lane.link->close();
    }
  }
  // Ending a TCP stream while bytes lie unread would reset it and could destroy what is still on its way to the peer.
  for (open = true; open && !deadline.passed();) {
    open = false;
    for (auto& slot : peers_) {
      for (Lane& lane : slot->lanes) {
        if (!slot->ended) open |= !has_ended(lane, deadline);
      }
    }
    if (open) nap();
  }
  bool together = true;
  for (auto& slot : peers_) {
    together &= slot->lanes.empty() || slot->state() != LinkState::lost;
    slot->ended = true;
    fail_requests(*slot);
    slot->lanes.clear();
  }
  return together;
}

/// Reads what is there away; whether that was the last of it.
bool Endpoint::has_ended(Lane& lane, Deadline deadline) noexcept {
  std::byte rest[4096];
  while (lane.link->read(rest) != 0 && !deadline.passed()) {
  }
  lane.link->check();
  if (lane.link->state() == LinkState::open) return false;
  lane.at_end = true;
  unwatch(lane);
  return true;
}

}  // namespace trireme::transport
