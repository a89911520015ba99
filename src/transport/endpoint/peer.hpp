// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "transport/endpoint/frame.hpp"
#include "transport/endpoint/piece_set.hpp"
#include "transport/endpoint/request_list.hpp"
#include "transport/endpoint/waiting_messages.hpp"
#include "trireme/base/deadline.hpp"
#include "trireme/transport/endpoint.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace trireme::transport {

inline constexpr unsigned all_links_every = 64;  ///< rounds between looks at links nobody waits on

struct Endpoint::Waiting {
  MessageKey key;
  Stamp stamp;
  FrameHeader header;
  std::span<std::byte> payload;  // room for at least header.inline_bytes
  bool complete = false;
  Waiting* next = nullptr;
};

/// One stream of a peer and what is half done on it. Invariant: `writing` is never changed once its first byte is out.
struct Endpoint::Lane {
  /// Where the payload of the frame being read goes.
  enum class Sink : std::uint8_t { none, receive, unexpected, piece, discard };

  std::unique_ptr<Link> link;
  bool is_first = false;
  bool at_end = false;          // found lost or closed; nobody waits for it any more
  bool is_watched = false;      // in the epoll set
  bool is_watched_out = false;  // there for writing, too

  // Outbound.
  FrameHeader writing{};
  const std::byte* writing_payload = nullptr;
  std::size_t written = 0;  // of header and payload
  bool busy = false;        // `writing` is on its way
  bool full = false;        // has taken no more in this round
  SendRequest* writing_request = nullptr;

  // Inbound.
  FrameHeader reading{};
  std::size_t header_read = 0;
  std::byte* sink_data = nullptr;
  std::size_t sink_left = 0;
  Sink sink = Sink::none;
  ReceiveRequest* sink_request = nullptr;
  Waiting* sink_waiting = nullptr;

  /// Whether a frame has begun to arrive and is not here whole.
  bool is_within_frame() const { return header_read != 0; }
  /// Sets what to write to the next piece of `request`, or to its whole message; it does not change.
  void begin_piece(const SendRequest& request, std::size_t piece_bytes);
  void begin_message(const SendRequest& request);
};

/// Everything about one peer. Headers, notes and small messages keep their order on the first lane. With that lane alone,
/// everything goes on it; else each of the further ones takes the next of `streams` whenever it has room.
/// Invariant: a request is in one list at most; one of which pieces are being written or read is known to their lanes too.
struct Endpoint::Peer {
  int rank = -1;
  std::vector<Lane> lanes;
  bool ended = false;
  std::optional<Deadline> patience;  // some lane has ended: until when the others may go on
  bool half_ended = false;           // they went on for longer

  // Outbound.
  std::vector<FrameHeader> control;  // headers without payload, sent first; a ring would save the shift of a short list
  std::size_t control_begin = 0;
  RequestList<SendRequest> queue;    // message or offer to write; with one lane, next pieces too
  RequestList<SendRequest> streams;  // with several lanes: next pieces and larger messages to write
  RequestList<SendRequest> offered;  // waiting for accept or finish
  bool accepts_early = false;        // nothing is ever lent on this link: receives are accepted as they are posted
  WaitingMessages<Waiting> early;    // accepted by the peer, not offered here yet
  std::size_t turn = 0;              // which of the further lanes is asked first

  // Inbound.
  RequestList<ReceiveRequest> posted;  // through post and unpost
  std::size_t posted_for_any_lane = 0;
  RequestList<ReceiveRequest> accepted;  // their pieces are arriving
  WaitingMessages<Waiting> waiting;
  std::vector<std::unique_ptr<PieceSet>> piece_sets;  // all that were ever needed
  std::vector<PieceSet*> free_piece_sets;
  std::size_t eager_bytes = 0;  // of this peer's link
  std::size_t first_lane_bytes = 0;

  /// Whether a message of this size that travels at once may do so on a further lane.
  bool is_for_any_lane(std::size_t bytes) const {
    return lanes.size() > 1 && bytes > first_lane_bytes && bytes <= eager_bytes;
  }
  void post(ReceiveRequest& request) {
    posted.push_back(request);
    posted_for_any_lane += is_for_any_lane(request.bytes);
  }
  void unpost(ReceiveRequest& request) {
    posted.remove(request);
    posted_for_any_lane -= is_for_any_lane(request.bytes);
  }
  void make_piece_sets(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) piece_sets.push_back(std::make_unique<PieceSet>());
    free_piece_sets.reserve(piece_sets.size());
    for (std::size_t i = piece_sets.size() - count; i < piece_sets.size(); ++i)
      free_piece_sets.push_back(piece_sets[i].get());
  }
  PieceSet* take_piece_set(std::size_t pieces) {
    if (free_piece_sets.empty()) make_piece_sets(piece_sets.size() + 1);
    PieceSet* set = free_piece_sets.back();
    free_piece_sets.pop_back();
    set->clear(pieces);
    return set;
  }
  /// Out of `accepted`: all pieces have come, or no more will.
  void end_pieces(ReceiveRequest& request, RequestState state) noexcept {
    free_piece_sets.push_back(std::exchange(request.pieces, nullptr));
    request.state = state;
  }

  Link* link() const { return lanes.empty() ? nullptr : lanes.front().link.get(); }
  bool open() const { return !lanes.empty() && !ended; }
  /// Lost when any lane is; closed when all are.
  LinkState state() const;
  /// What tells of writing: the first lane takes what waits in order, the others what may go on any.
  bool wants_to_write(const Lane& lane) const {
    if (lane.busy) return true;
    return lane.is_first ? control_begin < control.size() || !queue.empty() : !streams.empty();
  }
  bool wants_to_write() const;
  bool interesting() const;
};

}  // namespace trireme::transport
