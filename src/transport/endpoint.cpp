// SPDX-License-Identifier: Apache-2.0
#include "trireme/transport/endpoint.hpp"

#include "transport/frame.hpp"
#include "transport/request_list.hpp"
#include "transport/unexpected_pool.hpp"
#include "trireme/base/error.hpp"
#include "trireme/transport/doorbell.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <sys/epoll.h>
#include <unistd.h>

namespace trireme::transport {
namespace {

constexpr unsigned all_links_every = 64;  // rounds between looks at links nobody waits on
constexpr std::size_t small_payload = 256;
constexpr std::size_t middle_payload = 8192;
constexpr unsigned check_links_every = 4096;  // rounds between looks for peers that are gone

}  // namespace

/// Everything about one peer. Invariants: a request is in exactly one list while pending; `writing` is never changed
/// once its first byte is out.
struct Endpoint::Peer {
  struct Waiting : Unexpected {
    FrameHeader header;
    std::span<std::byte> payload;  // room for at least header.inline_bytes
    bool complete = false;
  };
  /// Where the payload of the frame being read goes.
  enum class Sink : std::uint8_t { none, receive, unexpected, piece, discard };

  int rank = -1;
  std::unique_ptr<Link> link;
  bool ended = false;

  // Outbound.
  FrameHeader writing{};
  const std::byte* writing_payload = nullptr;
  std::size_t written = 0;  // of header and payload
  bool busy = false;        // `writing` is on its way
  SendRequest* writing_request = nullptr;
  std::vector<FrameHeader> control;  // headers without payload, sent first; a ring would save the shift of a short list
  std::size_t control_begin = 0;
  RequestList<SendRequest> queue;    // message, offer or next piece to write
  RequestList<SendRequest> offered;  // waiting for accept or finish

  // Inbound.
  FrameHeader reading{};
  std::size_t header_read = 0;
  std::byte* sink_data = nullptr;
  std::size_t sink_left = 0;
  Sink sink = Sink::none;
  ReceiveRequest* sink_request = nullptr;
  Waiting* sink_waiting = nullptr;
  RequestList<ReceiveRequest> posted;
  RequestList<ReceiveRequest> accepted;  // their pieces are arriving
  std::vector<Waiting*> waiting;
  std::size_t waiting_bytes = 0;  // of the pools, behind `waiting`
  // Most messages that run ahead are small: with room for a large one each, they would touch a page each.
  UnexpectedPool<Waiting> small_pool;
  UnexpectedPool<Waiting> middle_pool;
  UnexpectedPool<Waiting> pool;
  std::size_t eager_bytes = 0;  // of this peer's link

  UnexpectedPool<Waiting>& pool_for(std::size_t payload) {
    return payload <= small_payload ? small_pool : payload <= middle_payload ? middle_pool : pool;
  }
  Waiting* wait_for_receive(std::size_t payload, std::size_t limit) noexcept {
    auto& from = pool_for(payload);
    if (from.entry_bytes() > limit - std::min(limit, waiting_bytes)) return nullptr;
    Waiting* entry = from.take();
    if (entry != nullptr) waiting_bytes += from.entry_bytes();
    return entry;
  }
  void put_back(Waiting* entry) noexcept {
    auto& to = pool_for(entry->header.inline_bytes);
    waiting_bytes -= to.entry_bytes();
    to.put_back(entry);
  }

  bool interesting() const {
    return !posted.empty() || !accepted.empty() || !offered.empty() || !queue.empty() || busy;
  }
  bool wants_to_write() const { return busy || control_begin < control.size() || !queue.empty(); }
};

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
  if (!slot.small_pool.open(small_payload) || !slot.middle_pool.open(middle_payload) ||
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

// ---------------------------------------------------------------------------------------------------------- sending

void Endpoint::send(SendRequest& request) noexcept {
  auto& peer = *peers_[static_cast<std::size_t>(request.peer)];
  request.state = RequestState::pending;
  request.streamed = 0;
  request.offered = false;
  if (peer.ended) {
    request.state = RequestState::failed;
    return;
  }
  ++messages_sent_;
  payload_sent_ += request.bytes;
  peer.queue.push_back(request);
  flush(peer);
}

void Endpoint::send_note(int peer_rank, std::uint8_t kind, const MessageKey& key, const Stamp& stamp) noexcept {
  auto& peer = *peers_[static_cast<std::size_t>(peer_rank)];
  if (peer.ended || !peer.link) return;
  FrameHeader header;
  header.type = FrameType::note;
  header.flags = kind;
  header.communicator = key.communicator;
  header.index = key.index;
  header.operation = key.operation;
  header.stamp = stamp;
  peer.control.push_back(header);
}

void Endpoint::accept_offer(Peer& peer, ReceiveRequest& request, std::uint64_t token, bool lent) noexcept {
  if (peer.ended) {  // the offer outlived who made it
    request.state = RequestState::failed;
    return;
  }
  if (lent) {
    const std::byte* memory = peer.link->borrow(token, request.bytes);
    if (memory == nullptr) {
      request.state = RequestState::failed;
      corrupt(peer, "a token outside its own memory");
      return;
    }
    payload_received_ += request.bytes;
    request.arrived = request.bytes;
    if (request.may_borrow) {
      request.borrowed = memory;
      request.state = RequestState::done;
      return;
    }
    std::memcpy(request.destination, memory, request.bytes);
    request.state = RequestState::done;
    give_back(request);
    return;
  }
  if (request.destination == nullptr) {
    refuse_bytes(peer, request);
    return;
  }
  FrameHeader header;
  header.type = FrameType::accept;
  header.communicator = request.key.communicator;
  header.index = request.key.index;
  header.operation = request.key.operation;
  header.bytes = request.bytes;
  header.stamp = request.stamp;
  peer.control.push_back(header);
  peer.accepted.push_back(request);
}

void Endpoint::refuse_bytes(Peer& peer, ReceiveRequest& request) noexcept {
  request.state = RequestState::failed;
  corrupt(peer, "bytes where its memory was to be read in place");
}

void Endpoint::give_back(ReceiveRequest& request) noexcept {
  auto& peer = *peers_[static_cast<std::size_t>(request.peer)];
  request.borrowed = nullptr;
  if (peer.ended) return;
  FrameHeader header;
  header.type = FrameType::finish;
  header.communicator = request.key.communicator;
  header.index = request.key.index;
  header.operation = request.key.operation;
  header.bytes = request.bytes;
  header.stamp = request.stamp;
  peer.control.push_back(header);
  flush(peer);
}

bool Endpoint::flush(Peer& peer) noexcept {
  bool moved = false;
  while (!peer.ended) {
    if (!peer.busy) {
      if (peer.control_begin < peer.control.size()) {
        peer.writing = peer.control[peer.control_begin++];
        if (peer.control_begin == peer.control.size()) {
          peer.control.clear();
          peer.control_begin = 0;
        } else if (peer.control_begin == 128) {
          peer.control.erase(peer.control.begin(), peer.control.begin() + 128);
          peer.control_begin = 0;
        }
        peer.writing_payload = nullptr;
        peer.writing_request = nullptr;
      } else if (SendRequest* request = peer.queue.pop_front()) {
        FrameHeader header;
        header.communicator = request->key.communicator;
        header.index = request->key.index;
        header.operation = request->key.operation;
        header.bytes = request->bytes;
        header.stamp = request->stamp;
        peer.writing_payload = nullptr;
        if (request->offered) {  // accepted meanwhile: the next piece
          header.type = FrameType::data;
          header.token = request->streamed;
          header.inline_bytes =
              static_cast<std::uint32_t>(std::min(options_.piece_bytes, request->bytes - request->streamed));
          peer.writing_payload = request->data + request->streamed;
        } else if (request->bytes <= peer.eager_bytes) {
          header.type = FrameType::message;
          header.inline_bytes = static_cast<std::uint32_t>(request->bytes);
          peer.writing_payload = request->data;
        } else {
          header.type = FrameType::offer;
          if (peer.link->lend(request->data, request->bytes, header.token)) header.flags = FrameHeader::lent;
        }
        peer.writing = header;
        peer.writing_request = request;
      } else {
        return moved;
      }
      peer.busy = true;
      peer.written = 0;
    }

    const std::span<const std::byte> header{reinterpret_cast<const std::byte*>(&peer.writing), sizeof(FrameHeader)};
    const std::span<const std::byte> payload{peer.writing_payload, peer.writing.inline_bytes};
    const std::size_t total = header.size() + payload.size();
    while (peer.written < total) {
      std::array<std::span<const std::byte>, 2> parts;
      std::size_t count = 0;
      if (peer.written < header.size()) {
        parts[count++] = header.subspan(peer.written);
        if (!payload.empty()) parts[count++] = payload;
      } else {
        parts[count++] = payload.subspan(peer.written - header.size());
      }
      const std::size_t taken = peer.link->write({parts.data(), count});
      if (taken == 0) return moved;
      moved = true;
      peer.written += taken;
    }
    peer.busy = false;
    if (SendRequest* request = std::exchange(peer.writing_request, nullptr)) {
      if (peer.writing.type == FrameType::offer) {
        request->offered = true;
        peer.offered.push_back(*request);
      } else {
        request->streamed += peer.writing.inline_bytes;
        if (request->streamed == request->bytes) {
          request->state = RequestState::done;
        } else {
          peer.queue.push_back(*request);  // behind the others: no message holds up the rest for longer than a piece
        }
      }
    }
  }
  return moved;
}

// -------------------------------------------------------------------------------------------------------- receiving

void Endpoint::receive(ReceiveRequest& request) noexcept {
  auto& peer = *peers_[static_cast<std::size_t>(request.peer)];
  request.state = RequestState::pending;
  request.arrived = 0;
  request.borrowed = nullptr;
  for (std::size_t i = 0; i < peer.waiting.size(); ++i) {
    auto& entry = *peer.waiting[i];
    if (entry.key != request.key) continue;
    if (entry.stamp != request.stamp || entry.header.bytes != request.bytes) {
      request.state = RequestState::failed;
      if (listener_ != nullptr) listener_->mismatched(peer.rank, request.key, request.stamp, entry.stamp);
      return;
    }
    if (!entry.complete) {  // still arriving: let the rest come, then find it here
      if (peer.ended) {
        request.state = RequestState::failed;
      } else {
        peer.posted.push_back(request);
      }
      return;
    }
    Peer::Waiting* taken = peer.waiting[i];
    peer.waiting.erase(peer.waiting.begin() + static_cast<std::ptrdiff_t>(i));
    if (taken->header.type == FrameType::offer) {
      accept_offer(peer, request, taken->header.token, (taken->header.flags & FrameHeader::lent) != 0);
    } else if (request.bytes != 0 && request.destination == nullptr) {
      refuse_bytes(peer, request);
    } else {
      if (request.bytes != 0) std::memcpy(request.destination, taken->payload.data(), request.bytes);
      payload_received_ += request.bytes;
      request.arrived = request.bytes;
      request.state = RequestState::done;
    }
    peer.put_back(taken);
    return;
  }
  if (peer.ended) {
    request.state = RequestState::failed;
    return;
  }
  peer.posted.push_back(request);
}

bool Endpoint::drain(Peer& peer) noexcept {
  bool moved = false;
  // Bounded, so that one busy peer cannot keep the caller from the others.
  for (int frames = 0; frames < 64 && !peer.ended; ++frames) {
    if (peer.header_read < sizeof(FrameHeader)) {
      const std::span<std::byte> rest{reinterpret_cast<std::byte*>(&peer.reading) + peer.header_read,
                                      sizeof(FrameHeader) - peer.header_read};
      const std::size_t got = peer.link->read(rest);
      if (got == 0) break;
      moved = true;
      peer.header_read += got;
      if (peer.header_read < sizeof(FrameHeader)) continue;
      if (!handle_header(peer)) return true;
    }
    bool starved = false;
    while (peer.sink_left != 0) {
      std::byte discarded[512];
      const bool discard = peer.sink == Peer::Sink::discard;
      const std::span<std::byte> into =
          discard ? std::span<std::byte>(discarded, std::min(sizeof discarded, peer.sink_left))
                  : std::span<std::byte>(peer.sink_data, peer.sink_left);
      const std::size_t got = peer.link->read(into);
      if (got == 0) {
        starved = true;
        break;
      }
      moved = true;
      if (!discard) peer.sink_data += got;
      peer.sink_left -= got;
      if (peer.sink_request != nullptr) peer.sink_request->arrived += got;
    }
    if (starved) break;
    payload_complete(peer);
    peer.header_read = 0;
  }
  if (!peer.ended && peer.link->state() != LinkState::open) end_peer(peer);
  return moved;
}

bool Endpoint::handle_header(Peer& peer) noexcept {
  const FrameHeader& header = peer.reading;
  peer.sink = Peer::Sink::none;
  peer.sink_left = header.inline_bytes;
  peer.sink_request = nullptr;
  peer.sink_waiting = nullptr;
  if (const auto fault = fault_of(header, peer.eager_bytes, options_.piece_bytes); !fault.empty()) {
    corrupt(peer, fault);
    return false;
  }
  const MessageKey key = header.key();
  switch (header.type) {
    case FrameType::note:
      if (listener_ != nullptr) listener_->noted(peer.rank, header.flags, key, header.stamp);
      return true;
    case FrameType::accept: {
      SendRequest* request = peer.offered.find(key);
      if (request == nullptr || request->bytes != header.bytes || request->bytes == 0) {
        corrupt(peer, "an acceptance of nothing that was offered");
        return false;
      }
      peer.offered.remove(*request);
      peer.queue.push_back(*request);
      return true;
    }
    case FrameType::finish: {
      SendRequest* request = peer.offered.find(key);
      if (request == nullptr) {
        corrupt(peer, "an end of a loan that was not given");
        return false;
      }
      peer.offered.remove(*request);
      request->state = RequestState::done;
      return true;
    }
    case FrameType::data: {
      ReceiveRequest* request = peer.accepted.find(key);
      if (request == nullptr || request->bytes != header.bytes || request->arrived != header.token) {
        corrupt(peer, "a piece of no message that was accepted");
        return false;
      }
      peer.sink = Peer::Sink::piece;
      peer.sink_data = request->destination + request->arrived;
      peer.sink_request = request;
      return true;
    }
    case FrameType::message:
    case FrameType::offer: break;
  }

  if (ReceiveRequest* request = peer.posted.find(key)) {
    peer.posted.remove(*request);
    if (request->stamp != header.stamp || request->bytes != header.bytes) {
      request->state = RequestState::failed;
      peer.sink = Peer::Sink::discard;
      if (listener_ != nullptr) listener_->mismatched(peer.rank, key, request->stamp, header.stamp);
      return true;
    }
    if (header.type == FrameType::offer) {
      accept_offer(peer, *request, header.token, (header.flags & FrameHeader::lent) != 0);
      return !peer.ended;
    }
    if (header.bytes != 0 && request->destination == nullptr) {
      refuse_bytes(peer, *request);
      return false;
    }
    peer.sink = Peer::Sink::receive;
    peer.sink_data = request->destination;
    peer.sink_request = request;
    return true;
  }

  Peer::Waiting* entry = peer.wait_for_receive(header.inline_bytes, options_.unexpected_bytes);
  if (entry == nullptr) {
    // Leaving the link unread until there is room would be kinder, but what this rank waits for may lie behind.
    if (give_up(peer) && listener_ != nullptr) listener_->overrun(peer.rank, key, peer.waiting.size());
    return false;
  }
  entry->key = key;
  entry->stamp = header.stamp;
  entry->header = header;
  entry->complete = header.inline_bytes == 0;
  peer.sink = Peer::Sink::unexpected;
  peer.sink_data = entry->payload.data();
  peer.sink_waiting = entry;
  peer.waiting.push_back(entry);
  if (listener_ != nullptr) listener_->unexpected(peer.rank, key, header.stamp);
  return true;
}

void Endpoint::payload_complete(Peer& peer) noexcept {
  switch (peer.sink) {
    case Peer::Sink::receive:
      payload_received_ += peer.sink_request->bytes;
      peer.sink_request->state = RequestState::done;
      break;
    case Peer::Sink::piece:
      if (peer.sink_request->arrived == peer.sink_request->bytes) {
        payload_received_ += peer.sink_request->bytes;
        peer.accepted.remove(*peer.sink_request);
        peer.sink_request->state = RequestState::done;
      }
      break;
    case Peer::Sink::unexpected: {
      peer.sink_waiting->complete = true;
      // A receive may have been posted while the payload was arriving.
      if (ReceiveRequest* request = peer.posted.find(peer.sink_waiting->key)) {
        peer.posted.remove(*request);
        receive(*request);
      }
      break;
    }
    case Peer::Sink::none:
    case Peer::Sink::discard: break;
  }
  peer.sink = Peer::Sink::none;
  peer.sink_request = nullptr;
  peer.sink_waiting = nullptr;
}

// --------------------------------------------------------------------------------------------------------- the ends

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

std::byte* Endpoint::peer_memory(int peer, std::uint64_t offset, std::size_t bytes) noexcept {
  auto& slot = *peers_[static_cast<std::size_t>(peer)];
  return slot.link ? slot.link->borrow(offset, bytes) : nullptr;
}

void Endpoint::nudge(int peer) noexcept {
  auto& slot = *peers_[static_cast<std::size_t>(peer)];
  if (slot.link && !slot.ended) slot.link->nudge();
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
