// SPDX-License-Identifier: Apache-2.0
#include "transport/endpoint/peer.hpp"
#include "trireme/transport/doorbell.hpp"
#include "trireme/transport/endpoint.hpp"

#include <utility>

#include <sys/epoll.h>

namespace trireme::transport {

/// False when the system refuses, which it does only to a descriptor that is new there.
bool Endpoint::watch(Peer& peer, Lane& lane, bool for_writing) noexcept {
  const int descriptor = lane.link->descriptor();
  if (descriptor < 0 || (lane.is_watched && lane.is_watched_out == for_writing)) return true;
  epoll_event event{};
  event.events = for_writing ? (EPOLLIN | EPOLLOUT) : EPOLLIN;
  event.data.u32 = static_cast<std::uint32_t>(peer.rank);
  if (::epoll_ctl(epoll_, lane.is_watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, descriptor, &event) != 0) return false;
  lane.is_watched = true;
  lane.is_watched_out = for_writing;
  return true;
}

void Endpoint::unwatch(Lane& lane) noexcept {
  if (std::exchange(lane.is_watched, false)) ::epoll_ctl(epoll_, EPOLL_CTL_DEL, lane.link->descriptor(), nullptr);
}

bool Endpoint::arm(Peer& peer) noexcept {
  for (Lane& lane : peer.lanes) {
    if (lane.at_end) continue;
    const bool for_writing = peer.wants_to_write(lane);
    watch(peer, lane, for_writing);
    if (!lane.link->arm(for_writing)) return false;
  }
  return true;
}

void Endpoint::sleep(Deadline until, const std::function<bool()>& moved) noexcept {
  bool may_sleep = true;
  for (auto& slot : peers_) {
    if (slot->open() && !arm(*slot)) {
      may_sleep = false;
      break;
    }
  }
  if (may_sleep && moved && moved()) may_sleep = false;
  if (may_sleep) {
    epoll_event events[16];
    const int count = ::epoll_wait(epoll_, events, 16, until.milliseconds_left(100));
    for (int i = 0; i < count; ++i) {
      if (events[i].data.u32 >= peers_.size()) {
        doorbell_->clear();
      } else if (Peer& peer = *peers_[events[i].data.u32]; peer.open()) {
        for (Lane& lane : peer.lanes) lane.link->check();
      }
    }
  }
  for (auto& slot : peers_) {
    if (!slot->open()) continue;
    for (Lane& lane : slot->lanes) lane.link->disarm();
  }
  rounds_ += all_links_every - rounds_ % all_links_every - 1;  // the next round looks at every link
}

void Endpoint::wake() const noexcept { doorbell_->ring(); }

}  // namespace trireme::transport
