// SPDX-License-Identifier: Apache-2.0
#include "transport/endpoint/peer.hpp"
#include "trireme/transport/endpoint.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include <sys/epoll.h>

namespace trireme::transport {

void Endpoint::fail_requests(Peer& peer) noexcept {
  for (auto* list : {&peer.queue, &peer.offered}) {
    while (SendRequest* request = list->pop_front()) request->state = RequestState::failed;
  }
  if (peer.writing_request != nullptr) std::exchange(peer.writing_request, nullptr)->state = RequestState::failed;
  if (peer.sink_request != nullptr && peer.sink == Peer::Sink::receive) peer.sink_request->state = RequestState::failed;
  peer.sink_request = nullptr;
  for (auto* list : {&peer.posted, &peer.accepted}) {
    while (ReceiveRequest* request = list->pop_front()) request->state = RequestState::failed;
  }
  peer.busy = false;
  peer.control.clear();
  peer.control_begin = 0;
}

void Endpoint::end_peer(Peer& peer) noexcept {
  if (peer.ended) return;
  peer.ended = true;
  if (peer.link && peer.link->descriptor() >= 0) ::epoll_ctl(epoll_, EPOLL_CTL_DEL, peer.link->descriptor(), nullptr);
  fail_requests(peer);
  if (listener_ != nullptr) {
    listener_->peer_ended(peer.rank, peer.link ? peer.link->state() : LinkState::lost,
                          peer.link ? peer.link->errno_value() : 0);
  }
}

/// False if it had ended already.
bool Endpoint::give_up(Peer& peer) noexcept {
  if (peer.ended) return false;
  peer.ended = true;
  if (peer.link->descriptor() >= 0) ::epoll_ctl(epoll_, EPOLL_CTL_DEL, peer.link->descriptor(), nullptr);
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
    slot->link.reset();  // also of one given up before: its peer is still waiting on it
  }
}

void Endpoint::close(Deadline deadline) noexcept {
  // Short sleeps: a peer's last word may not ring.
  const auto nap = [&] {
    sleep(Deadline::at(std::min(deadline.moment(), Deadline::Clock::now() + std::chrono::milliseconds(20))));
  };
  bool open = true;
  while (open && !deadline.passed()) {  // what is queued goes out first
    open = false;
    for (auto& slot : peers_) {
      if (slot->link && !slot->ended && slot->wants_to_write()) {
        flush(*slot);
        open |= slot->wants_to_write() && slot->link->state() == LinkState::open;
      }
    }
    if (open && !progress()) nap();
  }
  for (auto& slot : peers_) {
    if (slot->link && !slot->ended) slot->link->close();
  }
  // Ending a TCP stream while bytes lie unread would reset it and could destroy what is still on its way to the peer.
  for (open = true; open && !deadline.passed();) {
    open = false;
    for (auto& slot : peers_) {
      if (!slot->link || slot->ended) continue;
      std::byte rest[4096];
      while (slot->link->read(rest) != 0 && !deadline.passed()) {
      }
      slot->link->check();
      if (slot->link->state() == LinkState::open) open = true;
    }
    if (open) nap();
  }
  for (auto& slot : peers_) {
    slot->ended = true;
    fail_requests(*slot);
    slot->link.reset();
  }
}

}  // namespace trireme::transport
