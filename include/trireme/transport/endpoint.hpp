// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/deadline.hpp"
#include "trireme/transport/link.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

namespace trireme::transport {

class Doorbell;
class PieceSet;
struct FrameHeader;

/// Which message: the sender's and the receiver's key must be equal for them to meet.
struct MessageKey {
  std::uint32_t communicator = 0;
  std::uint32_t index = 0;  ///< which message of the operation on this edge
  std::uint64_t operation = 0;
  friend bool operator==(const MessageKey&, const MessageKey&) = default;
};

/// What the sender believes the operation to be; opaque here, compared for equality, carried by every message.
struct Stamp {
  std::array<std::uint64_t, 3> words{};
  friend bool operator==(const Stamp&, const Stamp&) = default;
};

enum class RequestState : std::uint8_t { idle, pending, done, failed };

/// One message to send. Owned by the caller; must stay where it is until done or failed.
struct SendRequest {
  int peer = -1;
  MessageKey key;
  Stamp stamp;
  const std::byte* data = nullptr;
  std::size_t bytes = 0;

  RequestState state = RequestState::idle;  ///< done: `data` may be overwritten
  std::size_t streamed = 0;                 ///< the endpoint's own: bytes in pieces that a lane has taken
  std::size_t written = 0;                  ///< the endpoint's own: bytes in pieces that are written whole
  bool offered = false;                     ///< the endpoint's own
  SendRequest* next = nullptr;              ///< the endpoint's own
};

/// One message to receive. Owned by the caller; must stay where it is until done or failed.
struct ReceiveRequest {
  int peer = -1;
  MessageKey key;
  Stamp stamp;
  std::byte* destination = nullptr;  ///< may be null when `may_borrow`, the message is larger than eager_bytes and the
                                     ///< peer's memory can be read in place; bytes that come all the same are refused
  std::size_t bytes = 0;
  bool may_borrow = false;  ///< done may mean: read `borrowed` in place, then call Endpoint::give_back

  RequestState state = RequestState::idle;
  std::size_t arrived = 0;              ///< bytes at destination so far, not always the first ones
  const std::byte* borrowed = nullptr;  ///< set when done: the peer's own memory
  PieceSet* pieces = nullptr;           ///< the endpoint's own: which of them have come
  bool offered = false;                 ///< the endpoint's own: its offer has come
  ReceiveRequest* next = nullptr;       ///< the endpoint's own
};

/// Told of what no request waits for. Called inside Endpoint's functions; must not call back into it, but for send_note.
class EndpointListener {
 public:
  /// A message arrived for which nothing is posted (yet).
  virtual void unexpected(int peer, const MessageKey& key, const Stamp& theirs) noexcept = 0;
  /// A message met a posted receive of another stamp: that receive has failed, user memory is untouched.
  virtual void mismatched(int peer, const MessageKey& key, const Stamp& ours, const Stamp& theirs) noexcept = 0;
  /// A note of the peer (see send_note).
  virtual void noted(int peer, std::uint8_t kind, const MessageKey& key, const Stamp& theirs) noexcept = 0;
  /// The link has ended; requests on it have failed.
  virtual void peer_ended(int peer, LinkState state, int errno_value) noexcept = 0;
  /// The peer sent what is not this protocol; its link has been given up and its requests have failed.
  virtual void corrupted(int peer, std::string_view what) noexcept = 0;
  /// `messages` of the peer wait for receives that never came, and there is no room for `next`: likewise given up.
  virtual void overrun(int peer, const MessageKey& next, std::size_t messages) noexcept = 0;

 protected:
  ~EndpointListener() = default;
};

/// All links of one rank, with messages on top: tagged, matched, whole.
///
/// A message of up to `eager_bytes` (`stream_eager_bytes` where nothing can be lent) travels at once with its header. A
/// larger one is offered: memory that the peer can map is read there in place; any other is streamed, in pieces, once the
/// receiver has posted its destination, straight into it; where nothing can be lent, posting says so by itself, and no
/// offer is waited for. Pieces, and messages above `first_lane_bytes`, travel beside each other on all lanes of a link that
/// has more than one (Link::take_lanes), each lane taking the next when it has room. Unexpected messages wait in a pool,
/// up to `unexpected_bytes` of each peer. No link is ever left unread because of another communicator's needs, so
/// communicators cannot block each other.
/// Threads: one at a time.  Cost: no heap call once the pools have grown to their working size.
class Endpoint {
 public:
  struct Options {
    std::size_t eager_bytes = 8192;
    /// Of links that stream everything: asking first would cost a round trip, and posted receives take bytes in place.
    std::size_t stream_eager_bytes = 64 * 1024;
    /// A larger message that travels at once does so on whichever further lane of its link has room; smaller ones keep to
    /// the first. A receiver takes either from any lane.
    std::size_t first_lane_bytes = 8192;
    /// Of a streamed message, per frame: what others wait for at most. Equal on all ranks.
    std::size_t piece_bytes = 256 * 1024;
    /// Per peer, of messages that nothing waits for yet; the peer is given up (overrun) before there are more.
    std::size_t unexpected_bytes = std::size_t{256} << 20;
    /// A peer of which one lane has ended is lost when the others have not done so after this time.
    std::chrono::milliseconds lane_patience = std::chrono::seconds(5);
  };
  Endpoint(int rank, int world_size, std::shared_ptr<Doorbell> doorbell, Options options);
  ~Endpoint();

  /// Takes the link to `peer`, with its further lanes. Before any traffic.
  void attach(int peer, std::unique_ptr<Link> link);
  void set_listener(EndpointListener* listener) { listener_ = listener; }
  int rank() const { return rank_; }
  int world_size() const { return static_cast<int>(peers_.size()); }

  /// Starts a send (receive). The result is in request.state, at once or after some progress().
  void send(SendRequest& request) noexcept;
  void receive(ReceiveRequest& request) noexcept;
  /// Ends the loan of a receive that is done with `borrowed` set.
  void give_back(ReceiveRequest& request) noexcept;
  /// Sends a header without a message: to tell the peer a stamp. `kind` is the listener's.
  void send_note(int peer, std::uint8_t kind, const MessageKey& key, const Stamp& stamp) noexcept;
  /// The stamps of unexpected messages for (communicator, operation): calls check(peer, key, stamp).
  template <class Check>
  void for_each_unexpected(std::uint32_t communicator, std::uint64_t operation, Check check) const;

  /// Moves what can move; true if anything did.
  bool progress() noexcept;
  /// Sleeps until something may move, a wake() comes or `until`; at most 100 ms. Returns at once if something can move.
  /// `moved`, if given, is asked once more when the peers have been told to wake this rank.
  void sleep(Deadline until, const std::function<bool()>& moved = {}) noexcept;
  /// Ends a sleep from another thread.
  void wake() const noexcept;

  /// Drops every request (their states become failed) and ends all links at once. Never blocks.
  void abort() noexcept;
  /// Ends all links in good order: flushes, then waits, until the deadline at most, for the peers to end theirs.
  /// False when one was lost; one that has not ended by then is late, not lost.
  bool close(Deadline deadline) noexcept;

  /// Where [offset, offset + bytes) of the peer's arena is in this process; null when it is not mapped here, or not
  /// that large.
  std::byte* peer_memory(int peer, std::uint64_t offset, std::size_t bytes) noexcept;
  /// See Link::nudge.
  void nudge(int peer) noexcept;

  LinkState link_state(int peer) const noexcept;
  /// Payload sent to peers so far, headers apart; and received.
  std::uint64_t payload_bytes_sent() const { return payload_sent_; }
  std::uint64_t payload_bytes_received() const { return payload_received_; }
  std::uint64_t messages_sent() const { return messages_sent_; }

 private:
  struct Waiting;
  struct Lane;
  struct Peer;
  /// Of a message nobody waits for yet.
  struct Unexpected {
    const Waiting* entry = nullptr;
    MessageKey key{};
    Stamp stamp{};
  };
  /// The one behind `previous` (null: the first) that may belong to the operation; entry null: none.
  Unexpected next_unexpected(int peer, std::uint32_t communicator, std::uint64_t operation,
                             const Waiting* previous) const noexcept;
  bool watch(Peer& peer, Lane& lane, bool for_writing) noexcept;
  void unwatch(Lane& lane) noexcept;
  bool arm(Peer& peer) noexcept;
  bool flush(Peer& peer) noexcept;
  bool next_frame(Peer& peer, Lane& lane) noexcept;
  void take_next(Peer& peer, Lane& lane) noexcept;
  bool write_frame(Peer& peer, Lane& lane, bool& moved) noexcept;
  void frame_written(Peer& peer, Lane& lane) noexcept;
  bool drain(Peer& peer, bool all) noexcept;
  bool drain(Peer& peer, Lane& lane) noexcept;
  bool handle_header(Peer& peer, Lane& lane) noexcept;
  bool handle_piece(Peer& peer, Lane& lane) noexcept;
  void payload_complete(Peer& peer, Lane& lane) noexcept;
  void accept(Peer& peer, ReceiveRequest& request) noexcept;
  bool handle_accept(Peer& peer, const FrameHeader& header) noexcept;
  bool handle_offer_of_accepted(Peer& peer, Lane& lane, ReceiveRequest& request) noexcept;
  void stream(Peer& peer, SendRequest& request) noexcept;
  void complete_if_all_here(Peer& peer, ReceiveRequest& request) noexcept;
  void accept_offer(Peer& peer, ReceiveRequest& request, std::uint64_t token, bool lent) noexcept;
  void refuse_bytes(Peer& peer, ReceiveRequest& request) noexcept;
  void look_for_end(Peer& peer, bool moved) noexcept;
  void end_peer(Peer& peer) noexcept;
  void corrupt(Peer& peer, std::string_view what) noexcept;
  bool give_up(Peer& peer) noexcept;
  void fail_requests(Peer& peer) noexcept;
  bool has_ended(Lane& lane, Deadline deadline) noexcept;

  int rank_;
  Options options_;
  std::shared_ptr<Doorbell> doorbell_;
  EndpointListener* listener_ = nullptr;
  std::vector<std::unique_ptr<Peer>> peers_;
  int epoll_ = -1;
  unsigned rounds_ = 0;
  std::uint64_t payload_sent_ = 0;
  std::uint64_t payload_received_ = 0;
  std::uint64_t messages_sent_ = 0;
  std::size_t unexpected_messages_ = 0;  // of all peers
};

template <class Check>
void Endpoint::for_each_unexpected(std::uint32_t communicator, std::uint64_t operation, Check check) const {
  if (unexpected_messages_ == 0) return;
  for (int peer = 0; peer < world_size(); ++peer) {
    for (auto each = next_unexpected(peer, communicator, operation, nullptr); each.entry != nullptr;
         each = next_unexpected(peer, communicator, operation, each.entry)) {
      if (each.key.communicator == communicator && each.key.operation == operation) check(peer, each.key, each.stamp);
    }
  }
}

}  // namespace trireme::transport
