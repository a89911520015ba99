// SPDX-License-Identifier: Apache-2.0
#include "transport/endpoint/peer.hpp"
#include "trireme/transport/endpoint.hpp"

#include <algorithm>
#include <cstring>

namespace trireme::transport {

void Endpoint::receive(ReceiveRequest& request) noexcept {
  auto& peer = *peers_[static_cast<std::size_t>(request.peer)];
  request.state = RequestState::pending;
  request.arrived = 0;
  request.borrowed = nullptr;
  request.offered = false;
  Waiting* entry = peer.waiting.find(request.key);
  if (entry == nullptr) {
    if (peer.ended) {
      request.state = RequestState::failed;
    } else if (peer.accepts_early && request.bytes > peer.eager_bytes && request.destination != nullptr) {
      accept(peer, request);
    } else {
      peer.post(request);
    }
    return;
  }
  if (entry->stamp != request.stamp || entry->header.bytes != request.bytes) {
    request.state = RequestState::failed;
    if (listener_ != nullptr) listener_->mismatched(peer.rank, request.key, request.stamp, entry->stamp);
    return;
  }
  if (!entry->complete) {  // still arriving: let the rest come, then find it here
    if (peer.ended) {
      request.state = RequestState::failed;
    } else {
      peer.post(request);
    }
    return;
  }
  peer.waiting.remove(*entry);
  --unexpected_messages_;
  if (entry->header.type == FrameType::offer) {
    accept_offer(peer, request, entry->header.token, (entry->header.flags & FrameHeader::lent) != 0);
  } else if (request.bytes != 0 && request.destination == nullptr) {
    refuse_bytes(peer, request);
  } else {
    if (request.bytes != 0) std::memcpy(request.destination, entry->payload.data(), request.bytes);
    payload_received_ += request.bytes;
    request.arrived = request.bytes;
    request.state = RequestState::done;
  }
  peer.waiting.put_back(entry);
}

bool Endpoint::drain(Peer& peer, bool all) noexcept {
  if (peer.patience) {
    for (Lane& lane : peer.lanes) lane.link->check();  // its end is near: everything that is there counts
  }
  bool moved = drain(peer, peer.lanes.front());
  // Only what has room here is waited for there: pieces that were accepted, larger messages that are posted.
  const bool further = all || peer.patience || !peer.accepted.empty() || peer.posted_for_any_lane != 0;
  for (std::size_t i = 1; i < peer.lanes.size(); ++i) {
    if (further || peer.lanes[i].is_within_frame()) moved |= drain(peer, peer.lanes[i]);
  }
  look_for_end(peer, moved);
  return moved;
}

bool Endpoint::drain(Peer& peer, Lane& lane) noexcept {
  bool moved = false;
  // Bounded, so that one busy lane cannot keep the caller from the others.
  for (int frames = 0; frames < 64 && !peer.ended; ++frames) {
    if (lane.header_read < sizeof(FrameHeader)) {
      const std::span<std::byte> rest{reinterpret_cast<std::byte*>(&lane.reading) + lane.header_read,
                                      sizeof(FrameHeader) - lane.header_read};
      const std::size_t got = lane.link->read(rest);
      if (got == 0) break;
      moved = true;
      lane.header_read += got;
      if (lane.header_read < sizeof(FrameHeader)) continue;
      if (!handle_header(peer, lane)) return true;
    }
    bool starved = false;
    while (lane.sink_left != 0) {
      std::byte discarded[512];
      const bool discard = lane.sink == Lane::Sink::discard;
      const std::span<std::byte> into =
          discard ? std::span<std::byte>(discarded, std::min(sizeof discarded, lane.sink_left))
                  : std::span<std::byte>(lane.sink_data, lane.sink_left);
      const std::size_t got = lane.link->read(into);
      if (got == 0) {
        starved = true;
        break;
      }
      moved = true;
      if (!discard) lane.sink_data += got;
      lane.sink_left -= got;
      if (lane.sink_request != nullptr) lane.sink_request->arrived += got;
    }
    if (starved) break;
    payload_complete(peer, lane);
    lane.header_read = 0;
  }
  return moved;
}

bool Endpoint::handle_header(Peer& peer, Lane& lane) noexcept {
  const FrameHeader& header = lane.reading;
  lane.sink = Lane::Sink::none;
  lane.sink_left = header.inline_bytes;
  lane.sink_request = nullptr;
  lane.sink_waiting = nullptr;
  if (const auto fault = fault_of(header, peer.eager_bytes, options_.piece_bytes); !fault.empty()) {
    corrupt(peer, fault);
    return false;
  }
  if (!lane.is_first && header.type != FrameType::data && header.type != FrameType::message) {
    corrupt(peer, "another frame where only messages and pieces belong");
    return false;
  }
  const MessageKey key = header.key();
  switch (header.type) {
    case FrameType::note:
      if (listener_ != nullptr) listener_->noted(peer.rank, header.flags, key, header.stamp);
      return true;
    case FrameType::accept: return handle_accept(peer, header);
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
    case FrameType::data: return handle_piece(peer, lane);
    case FrameType::message:
    case FrameType::offer: break;
  }

  if (peer.accepts_early) {
    ReceiveRequest* request = peer.accepted.find(key);
    if (request != nullptr && !request->offered) return handle_offer_of_accepted(peer, lane, *request);
  }
  if (ReceiveRequest* request = peer.posted.find(key)) {
    peer.unpost(*request);
    if (request->stamp != header.stamp || request->bytes != header.bytes) {
      request->state = RequestState::failed;
      lane.sink = Lane::Sink::discard;
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
    lane.sink = Lane::Sink::receive;
    lane.sink_data = request->destination;
    lane.sink_request = request;
    return true;
  }

  Waiting* entry = peer.waiting.take(header.inline_bytes, options_.unexpected_bytes);
  if (entry == nullptr) {
    // Leaving the link unread until there is room would be kinder, but what this rank waits for may lie behind.
    if (give_up(peer) && listener_ != nullptr) listener_->overrun(peer.rank, key, peer.waiting.size());
    return false;
  }
  entry->key = key;
  entry->stamp = header.stamp;
  entry->header = header;
  entry->complete = header.inline_bytes == 0;
  lane.sink = Lane::Sink::unexpected;
  lane.sink_data = entry->payload.data();
  lane.sink_waiting = entry;
  peer.waiting.push_back(*entry);
  ++unexpected_messages_;
  if (listener_ != nullptr) listener_->unexpected(peer.rank, key, header.stamp);
  return true;
}

/// The peer has room for a message: one that was offered, or will be.
bool Endpoint::handle_accept(Peer& peer, const FrameHeader& header) noexcept {
  SendRequest* request = peer.offered.find(header.key());
  if (request == nullptr && peer.accepts_early) {
    Waiting* early = peer.early.take(0, options_.unexpected_bytes);
    if (early == nullptr) {
      if (give_up(peer) && listener_ != nullptr) listener_->overrun(peer.rank, header.key(), peer.early.size());
      return false;
    }
    early->key = header.key();
    early->stamp = header.stamp;
    early->header = header;
    peer.early.push_back(*early);
    return true;
  }
  if (request != nullptr && peer.accepts_early && (request->bytes != header.bytes || request->stamp != header.stamp)) {
    peer.offered.remove(*request);  // accepted before the offer came there
    request->state = RequestState::failed;
    if (listener_ != nullptr) listener_->mismatched(peer.rank, request->key, request->stamp, header.stamp);
    return true;
  }
  if (request == nullptr || request->bytes != header.bytes || request->bytes == 0) {
    corrupt(peer, "an acceptance of nothing that was offered");
    return false;
  }
  peer.offered.remove(*request);
  stream(peer, *request);
  return true;
}

/// An offer, or what came in its place, for a receive that was accepted as it was posted. Its pieces may have been faster.
bool Endpoint::handle_offer_of_accepted(Peer& peer, Lane& lane, ReceiveRequest& request) noexcept {
  const FrameHeader& header = lane.reading;
  if (request.stamp != header.stamp || request.bytes != header.bytes) {
    peer.accepted.remove(request);
    peer.end_pieces(request, RequestState::failed);
    lane.sink = Lane::Sink::discard;
    if (listener_ != nullptr) listener_->mismatched(peer.rank, request.key, request.stamp, header.stamp);
    return true;
  }
  request.offered = true;
  complete_if_all_here(peer, request);
  return true;
}

void Endpoint::complete_if_all_here(Peer& peer, ReceiveRequest& request) noexcept {
  if (request.arrived != request.bytes || !request.offered) return;
  payload_received_ += request.bytes;
  peer.accepted.remove(request);
  peer.end_pieces(request, RequestState::done);
}

/// Which lane a piece came on says nothing about its place: key and offset do, and each place is filled once.
bool Endpoint::handle_piece(Peer& peer, Lane& lane) noexcept {
  const FrameHeader& header = lane.reading;
  ReceiveRequest* request = peer.accepted.find(header.key());
  if (request == nullptr || request->bytes != header.bytes || request->stamp != header.stamp) {
    corrupt(peer, "a piece of no message that was accepted");
    return false;
  }
  if (!request->pieces->insert(static_cast<std::size_t>(header.token / options_.piece_bytes))) {
    corrupt(peer, "a piece that had come before");
    return false;
  }
  lane.sink = Lane::Sink::piece;
  lane.sink_data = request->destination + header.token;
  lane.sink_request = request;
  return true;
}

void Endpoint::payload_complete(Peer& peer, Lane& lane) noexcept {
  switch (lane.sink) {
    case Lane::Sink::receive:
      payload_received_ += lane.sink_request->bytes;
      lane.sink_request->state = RequestState::done;
      break;
    case Lane::Sink::piece: complete_if_all_here(peer, *lane.sink_request); break;
    case Lane::Sink::unexpected: {
      lane.sink_waiting->complete = true;
      // A receive may have been posted while the payload was arriving.
      if (ReceiveRequest* request = peer.posted.find(lane.sink_waiting->key)) {
        peer.unpost(*request);
        receive(*request);
      }
      break;
    }
    case Lane::Sink::none:
    case Lane::Sink::discard: break;
  }
  lane.sink = Lane::Sink::none;
  lane.sink_request = nullptr;
  lane.sink_waiting = nullptr;
}

void Endpoint::accept_offer(Peer& peer, ReceiveRequest& request, std::uint64_t token, bool lent) noexcept {
  if (peer.ended) {  // the offer outlived who made it
    request.state = RequestState::failed;
    return;
  }
  if (lent) {
    const std::byte* memory = peer.link()->borrow(token, request.bytes);
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
  request.offered = true;
  accept(peer, request);
}

void Endpoint::refuse_bytes(Peer& peer, ReceiveRequest& request) noexcept {
  request.state = RequestState::failed;
  corrupt(peer, "bytes where its memory was to be read in place");
}

}  // namespace trireme::transport
