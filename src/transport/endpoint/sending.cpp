// SPDX-License-Identifier: Apache-2.0
#include "transport/endpoint/peer.hpp"
#include "trireme/transport/endpoint.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace trireme::transport {
namespace {

/// The header of `type` that all fields of a request go into.
template <class Request>
FrameHeader header_of(FrameType type, const Request& request) {
  FrameHeader header;
  header.type = type;
  header.communicator = request.key.communicator;
  header.index = request.key.index;
  header.operation = request.key.operation;
  header.bytes = request.bytes;
  header.stamp = request.stamp;
  return header;
}

}  // namespace

void Endpoint::send(SendRequest& request) noexcept {
  auto& peer = *peers_[static_cast<std::size_t>(request.peer)];
  request.state = RequestState::pending;
  request.streamed = 0;
  request.written = 0;
  request.offered = false;
  if (peer.ended) {
    request.state = RequestState::failed;
    return;
  }
  ++messages_sent_;
  payload_sent_ += request.bytes;
  (peer.is_for_any_lane(request.bytes) ? peer.streams : peer.queue).push_back(request);
  flush(peer);
}

void Endpoint::send_note(int peer_rank, std::uint8_t kind, const MessageKey& key, const Stamp& stamp) noexcept {
  auto& peer = *peers_[static_cast<std::size_t>(peer_rank)];
  if (!peer.open()) return;
  FrameHeader header;
  header.type = FrameType::note;
  header.flags = kind;
  header.communicator = key.communicator;
  header.index = key.index;
  header.operation = key.operation;
  header.stamp = stamp;
  peer.control.push_back(header);
}

/// Tells the peer that `request` has room for its message, whose offer may have come or not.
void Endpoint::accept(Peer& peer, ReceiveRequest& request) noexcept {
  request.pieces = peer.take_piece_set((request.bytes + options_.piece_bytes - 1) / options_.piece_bytes);
  peer.accepted.push_back(request);
  peer.control.push_back(header_of(FrameType::accept, request));
}

/// Offered and accepted: its pieces go.
void Endpoint::stream(Peer& peer, SendRequest& request) noexcept {
  (peer.lanes.size() == 1 ? peer.queue : peer.streams).push_back(request);
}

void Endpoint::give_back(ReceiveRequest& request) noexcept {
  auto& peer = *peers_[static_cast<std::size_t>(request.peer)];
  request.borrowed = nullptr;
  if (peer.ended) return;
  peer.control.push_back(header_of(FrameType::finish, request));
  flush(peer);
}

void Endpoint::Lane::begin_piece(const SendRequest& request, std::size_t piece_bytes) {
  writing = header_of(FrameType::data, request);
  writing.token = request.streamed;
  writing.inline_bytes = static_cast<std::uint32_t>(std::min(piece_bytes, request.bytes - request.streamed));
  writing_payload = request.data + request.streamed;
}

void Endpoint::Lane::begin_message(const SendRequest& request) {
  writing = header_of(FrameType::message, request);
  writing.inline_bytes = static_cast<std::uint32_t>(request.bytes);
  writing_payload = request.data;
}

/// Takes what the first lane writes next; false if there is nothing.
bool Endpoint::next_frame(Peer& peer, Lane& lane) noexcept {
  lane.writing_payload = nullptr;
  lane.writing_request = nullptr;
  if (peer.control_begin < peer.control.size()) {
    lane.writing = peer.control[peer.control_begin++];
    if (peer.control_begin == peer.control.size()) {
      peer.control.clear();
      peer.control_begin = 0;
    } else if (peer.control_begin == 128) {
      peer.control.erase(peer.control.begin(), peer.control.begin() + 128);
      peer.control_begin = 0;
    }
    return true;
  }
  SendRequest* request = peer.queue.pop_front();
  if (request == nullptr) return false;
  lane.writing_request = request;
  if (request->offered) {  // accepted meanwhile
    lane.begin_piece(*request, options_.piece_bytes);
    request->streamed += lane.writing.inline_bytes;
  } else if (request->bytes <= peer.eager_bytes) {
    lane.begin_message(*request);
  } else {
    lane.writing = header_of(FrameType::offer, *request);
    if (lane.link->lend(request->data, request->bytes, lane.writing.token)) lane.writing.flags = FrameHeader::lent;
  }
  return true;
}

/// A further lane has written the first bytes of what was next: what is behind it is for whoever has room.
void Endpoint::take_next(Peer& peer, Lane& lane) noexcept {
  SendRequest* request = lane.writing_request = peer.streams.pop_front();
  if (!request->offered) return;  // a whole message
  request->streamed += lane.writing.inline_bytes;
  if (request->streamed < request->bytes) peer.streams.push_back(*request);
}

void Endpoint::frame_written(Peer& peer, Lane& lane) noexcept {
  SendRequest* request = std::exchange(lane.writing_request, nullptr);
  if (request == nullptr) return;
  switch (lane.writing.type) {
    case FrameType::offer:
      request->offered = true;
      if (peer.accepts_early) {
        if (Waiting* early = peer.early.find(request->key)) {
          const bool same = early->stamp == request->stamp && early->header.bytes == request->bytes;
          peer.early.remove(*early);
          if (same) {
            stream(peer, *request);
          } else {
            request->state = RequestState::failed;
            if (listener_ != nullptr) listener_->mismatched(peer.rank, request->key, request->stamp, early->stamp);
          }
          peer.early.put_back(early);
          return;
        }
      }
      peer.offered.push_back(*request);
      return;
    case FrameType::data:
      request->written += lane.writing.inline_bytes;
      if (request->written == request->bytes) {
        request->state = RequestState::done;
      } else if (lane.is_first) {
        peer.queue.push_back(*request);  // behind the others: no message holds up the rest for longer than a piece
      }
      return;
    default: request->state = RequestState::done;
  }
}

/// True when a frame has been written to its end; false when there is none or the lane takes no more.
bool Endpoint::write_frame(Peer& peer, Lane& lane, bool& moved) noexcept {
  if (lane.full) return false;
  if (!lane.busy) {
    if (lane.is_first) {
      if (!next_frame(peer, lane)) return false;
      lane.busy = true;
    } else {
      if (peer.streams.empty()) return false;
      // Its own once it takes any of it.
      const SendRequest& next = *peer.streams.front();
      next.offered ? lane.begin_piece(next, options_.piece_bytes) : lane.begin_message(next);
    }
    lane.written = 0;
  }
  const std::span<const std::byte> header{reinterpret_cast<const std::byte*>(&lane.writing), sizeof(FrameHeader)};
  const std::span<const std::byte> payload{lane.writing_payload, lane.writing.inline_bytes};
  const std::size_t total = header.size() + payload.size();
  while (lane.written < total) {
    std::array<std::span<const std::byte>, 2> parts;
    std::size_t count = 0;
    if (lane.written < header.size()) {
      parts[count++] = header.subspan(lane.written);
      if (!payload.empty()) parts[count++] = payload;
    } else {
      parts[count++] = payload.subspan(lane.written - header.size());
    }
    const std::size_t taken = lane.link->write({parts.data(), count});
    if (taken == 0) {
      lane.full = true;
      return false;
    }
    if (!lane.busy) {
      lane.busy = true;
      take_next(peer, lane);
    }
    moved = true;
    lane.written += taken;
  }
  lane.busy = false;
  frame_written(peer, lane);
  return true;
}

bool Endpoint::flush(Peer& peer) noexcept {
  if (!peer.open()) return false;
  bool moved = false;
  for (Lane& lane : peer.lanes) lane.full = false;
  while (write_frame(peer, peer.lanes.front(), moved)) {
  }
  // One each in turn, so that a message of a few pieces uses every lane; a full one is passed over.
  const std::size_t further = peer.lanes.size() - 1;
  for (std::size_t refusals = 0; refusals < further;) {
    peer.turn = peer.turn % further + 1;
    refusals = write_frame(peer, peer.lanes[peer.turn], moved) ? 0 : refusals + 1;
  }
  return moved;
}

}  // namespace trireme::transport
