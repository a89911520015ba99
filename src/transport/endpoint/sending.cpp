// SPDX-License-Identifier: Apache-2.0
#include "transport/endpoint/peer.hpp"
#include "trireme/transport/endpoint.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace trireme::transport {

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

}  // namespace trireme::transport
