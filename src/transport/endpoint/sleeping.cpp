// SPDX-License-Identifier: Apache-2.0
#include "transport/endpoint/peer.hpp"
#include "trireme/transport/doorbell.hpp"
#include "trireme/transport/endpoint.hpp"

#include <sys/epoll.h>

namespace trireme::transport {

void Endpoint::sleep(Deadline until, const std::function<bool()>& moved) noexcept {
  bool may_sleep = true;
  for (auto& slot : peers_) {
    Peer& peer = *slot;
    if (!peer.link || peer.ended) continue;
    if (peer.link->descriptor() >= 0) {
      const bool writing = peer.wants_to_write();
      epoll_event event{};
      event.events = writing ? (EPOLLIN | EPOLLOUT) : EPOLLIN;
      event.data.u32 = static_cast<std::uint32_t>(peer.rank);
      ::epoll_ctl(epoll_, EPOLL_CTL_MOD, peer.link->descriptor(), &event);
    }
    if (!peer.link->arm(peer.wants_to_write())) {
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
      } else if (Peer& peer = *peers_[events[i].data.u32]; peer.link && !peer.ended) {
        peer.link->check();
      }
    }
  }
  for (auto& slot : peers_) {
    if (slot->link && !slot->ended) slot->link->disarm();
  }
  rounds_ += all_links_every - rounds_ % all_links_every - 1;  // the next round looks at every link
}

void Endpoint::wake() const noexcept { doorbell_->ring(); }

}  // namespace trireme::transport
