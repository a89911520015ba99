// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "transport/endpoint/frame.hpp"
#include "transport/endpoint/request_list.hpp"
#include "transport/endpoint/unexpected_pool.hpp"
#include "trireme/transport/endpoint.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace trireme::transport {

inline constexpr unsigned all_links_every = 64;  ///< rounds between looks at links nobody waits on

/// Everything about one peer. Invariants: a request is in exactly one list while pending; `writing` is never changed
/// once its first byte is out.
struct Endpoint::Peer {
  static constexpr std::size_t small_payload = 256;
  static constexpr std::size_t middle_payload = 8192;

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

}  // namespace trireme::transport
