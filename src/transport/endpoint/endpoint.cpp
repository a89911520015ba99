// SPDX-License-Identifier: Apache-2.0
#include "trireme/transport/endpoint.hpp"

#include "transport/endpoint/peer.hpp"
#include "trireme/base/error.hpp"
#include "trireme/transport/doorbell.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <sys/epoll.h>
#include <unistd.h>

namespace trireme::transport {
namespace {

/// As many messages of one peer may arrive in pieces at once before more room is made.
constexpr std::size_t messages_in_pieces = 128;
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
  auto further = link->take_lanes();
  slot.lanes.resize(1 + further.size());
  slot.lanes.front().is_first = true;
  slot.lanes.front().link = std::move(link);
  for (std::size_t i = 0; i < further.size(); ++i) slot.lanes[i + 1].link = std::move(further[i]);
  slot.control.reserve(256);
  slot.make_piece_sets(messages_in_pieces);
  slot.eager_bytes = slot.link()->streams_all() ? options_.stream_eager_bytes : options_.eager_bytes;
  slot.first_lane_bytes = options_.first_lane_bytes;
  slot.accepts_early = slot.link()->streams_all();
  if (!slot.waiting.open(slot.eager_bytes) || (slot.accepts_early && !slot.early.open(0)))
    fail_system("reserving address space for messages", ENOMEM);
  for (Lane& lane : slot.lanes) {
    if (!watch(slot, lane, false)) fail_system("epoll_ctl", errno);
  }
}

Endpoint::Unexpected Endpoint::next_unexpected(int peer, std::uint32_t communicator, std::uint64_t operation,
                                               const Waiting* previous) const noexcept {
  const auto& waiting = peers_[static_cast<std::size_t>(peer)]->waiting;
  const Waiting* entry = previous != nullptr ? previous->next : waiting.first(communicator, operation);
  if (entry == nullptr) return {};
  return {.entry = entry, .key = entry->key, .stamp = entry->stamp};
}

LinkState Endpoint::link_state(int peer) const noexcept { return peers_[static_cast<std::size_t>(peer)]->state(); }

bool Endpoint::Peer::wants_to_write() const {
  if (control_begin < control.size() || !queue.empty() || !streams.empty()) return true;
  return std::any_of(lanes.begin(), lanes.end(), [](const Lane& lane) { return lane.busy; });
}

bool Endpoint::Peer::interesting() const {
  if (!posted.empty() || !accepted.empty() || !offered.empty() || patience || wants_to_write()) return true;
  return std::any_of(lanes.begin(), lanes.end(), [](const Lane& lane) { return lane.is_within_frame(); });
}

bool Endpoint::progress() noexcept {
  ++rounds_;
  const bool all = rounds_ % all_links_every == 0;
  const bool check = rounds_ % check_links_every == 0;
  bool moved = false;
  for (auto& slot : peers_) {
    Peer& peer = *slot;
    if (!peer.open()) continue;
    if (check) {
      for (Lane& lane : peer.lanes) lane.link->check();
    }
    if (peer.wants_to_write()) moved |= flush(peer);
    if (all || peer.interesting()) {
      moved |= drain(peer, all);
      if (peer.wants_to_write()) moved |= flush(peer);
    }
  }
  return moved;
}

std::byte* Endpoint::peer_memory(int peer, std::uint64_t offset, std::size_t bytes) noexcept {
  Link* link = peers_[static_cast<std::size_t>(peer)]->link();
  return link != nullptr ? link->borrow(offset, bytes) : nullptr;
}

void Endpoint::nudge(int peer) noexcept {
  auto& slot = *peers_[static_cast<std::size_t>(peer)];
  if (slot.open()) slot.link()->nudge();
}

}  // namespace trireme::transport
