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

}  // namespace trireme::transport
