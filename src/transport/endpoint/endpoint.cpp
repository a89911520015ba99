// SPDX-License-Identifier: Apache-2.0
#include "trireme/transport/endpoint.hpp"

#include "transport/endpoint/peer.hpp"
#include "trireme/base/error.hpp"
#include "trireme/transport/doorbell.hpp"

#include <cerrno>
#include <utility>

#include <sys/epoll.h>
#include <unistd.h>

namespace trireme::transport {
namespace {

constexpr unsigned check_links_every = 4096;  // rounds between looks for peers that are gone

}  // namespace

Endpoint::Endpoint(int rank, int world_size, std::shared_ptr<Doorbell> doorbell, Options options)
    : rank_(rank), options_(options), doorbell_(std::move(doorbell)), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (epoll_ < 0) fail_system("epoll_create1", errno);
  peers_.resize(static_cast<std::size_t>(world_size));
  for (int peer = 0; peer < world_size; ++peer) {
    peers_[static_cast<std::size_t>(peer)] = std::make_unique<Peer>();
    peers_[static_cast<std::size_t>(peer)]->rank = peer;
  }
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u32 = static_cast<std::uint32_t>(world_size);
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, doorbell_->descriptor(), &event) != 0) {
    const int reason = errno;
    ::close(epoll_);
    fail_system("epoll_ctl", reason);
  }
}

Endpoint::~Endpoint() { ::close(epoll_); }

void Endpoint::attach(int peer, std::unique_ptr<Link> link) {
  auto& slot = *peers_[static_cast<std::size_t>(peer)];
  slot.link = std::move(link);
  slot.control.reserve(256);
  slot.waiting.reserve(UnexpectedPool<Peer::Waiting>::entries_per_chunk);
  slot.eager_bytes = slot.link->streams_all() ? options_.stream_eager_bytes : options_.eager_bytes;
  if (!slot.small_pool.open(Peer::small_payload) || !slot.middle_pool.open(Peer::middle_payload) ||
      !slot.pool.open(slot.eager_bytes))
    fail_system("reserving address space for messages", ENOMEM);
  if (slot.link->descriptor() >= 0) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u32 = static_cast<std::uint32_t>(peer);
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, slot.link->descriptor(), &event) != 0) fail_system("epoll_ctl", errno);
  }
}

const Endpoint::Unexpected* Endpoint::unexpected(int peer, std::size_t index) const noexcept {
  const auto& waiting = peers_[static_cast<std::size_t>(peer)]->waiting;
  return index < waiting.size() ? waiting[index] : nullptr;
}

LinkState Endpoint::link_state(int peer) const noexcept {
  const auto& slot = *peers_[static_cast<std::size_t>(peer)];
  return slot.link ? slot.link->state() : LinkState::open;
}

bool Endpoint::progress() noexcept {
  ++rounds_;
  const bool all = rounds_ % all_links_every == 0;
  const bool check = rounds_ % check_links_every == 0;
  bool moved = false;
  for (auto& slot : peers_) {
    Peer& peer = *slot;
    if (!peer.link || peer.ended) continue;
    if (check) peer.link->check();
    if (peer.wants_to_write()) moved |= flush(peer);
    if (all || peer.interesting()) {
      moved |= drain(peer);
      if (peer.wants_to_write()) moved |= flush(peer);
    }
  }
  return moved;
}

std::byte* Endpoint::peer_memory(int peer, std::uint64_t offset, std::size_t bytes) noexcept {
  auto& slot = *peers_[static_cast<std::size_t>(peer)];
  return slot.link ? slot.link->borrow(offset, bytes) : nullptr;
}

void Endpoint::nudge(int peer) noexcept {
  auto& slot = *peers_[static_cast<std::size_t>(peer)];
  if (slot.link && !slot.ended) slot.link->nudge();
}

}  // namespace trireme::transport
