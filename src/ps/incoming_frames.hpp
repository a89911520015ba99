// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/message.hpp"
#include "ps/wire.hpp"
#include "trireme/net/connection.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace trireme::ps {

/// Takes frames from a non-blocking stream socket. Heads and control parts come through a small buffer, payloads straight
/// into their memory.
class IncomingFrames {
 public:
  /// Where a payload of so many bytes goes that belongs to `control`: exactly so many bytes of memory, or an empty span: into
  /// Message::payload.
  using Place = std::function<std::span<std::byte>(const Control& control, std::uint64_t payload_bytes)>;

  /// `control_limit`: most_server_control_bytes of a server's connection.
  explicit IncomingFrames(std::uint64_t payload_limit, Place place = {},
                          std::size_t control_limit = most_control_bytes);

  enum class Outcome : unsigned char {
    frame,    ///< `message` is there
    nothing,  ///< no more has arrived
    ended,    ///< the peer has closed, or the connection broke
    corrupt,  ///< problem() says of what kind; the connection is of no use any more
  };
  /// The next message. Never throws for what comes from outside.
  Outcome next(net::Connection& connection, Message& message);
  const std::string& problem() const { return problem_; }
  /// errno of a broken connection; 0: closed by the peer.
  int error() const { return error_; }
  std::uint64_t bytes() const { return bytes_; }
  /// Whether a sum is on its way into memory that Place gave, of which part may have been written.
  bool is_inside_given_sum() const {
    return phase_ == Phase::payload && is_given_ && std::holds_alternative<Reduced>(*control_);
  }

 private:
  enum class Phase : unsigned char { head, control, payload };
  enum class Read : unsigned char { some, none, end };
  Read fill(net::Connection& connection, std::span<std::byte> target);
  std::size_t buffered() const { return end_ - begin_; }
  void begin_payload();
  void make_room(std::size_t bytes);

  const std::uint64_t limit_;
  const std::size_t control_limit_;
  Place place_;
  std::vector<std::byte> buffer_;
  std::size_t begin_ = 0, end_ = 0;  ///< what is in the buffer and not yet used
  Phase phase_ = Phase::head;
  FrameHead head_;
  std::optional<Control> control_;
  Payload payload_;
  std::span<std::byte> missing_;  ///< of the payload
  bool is_given_ = false;
  bool is_drained_ = false;  ///< the last read took all there was: asking again would only cost a call
  int error_ = 0;
  std::uint64_t bytes_ = 0;
  std::string problem_;
};

}  // namespace trireme::ps
