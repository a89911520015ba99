// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/message.hpp"
#include "trireme/net/connection.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

namespace trireme::ps {

/// A frame on its way out: payloads are not copied.
struct OutgoingFrame {
  std::vector<std::byte> head;                        ///< with the control part: encode_frame()
  std::vector<std::span<const std::byte>> payload{};  ///< memory of others, until the frame has gone
  std::shared_ptr<const Payload> keeps{};             ///< whose memory that is, if it is shared
  std::uint64_t token = 0;                            ///< told when the frame has gone; 0: not
  std::uint64_t payload_bytes() const;
};

OutgoingFrame make_frame(const Control& control, std::shared_ptr<const Payload> payload = nullptr);

/// Gives frames to a non-blocking stream socket, as many at once as it takes.
class OutgoingFrames {
 public:
  void queue(OutgoingFrame frame);
  /// Sends what the system takes now. False when the connection broke: error() says by which errno.
  bool flush(net::Connection& connection);
  bool is_empty() const { return frames_.empty(); }
  std::uint64_t queued_bytes() const { return queued_; }
  std::uint64_t bytes() const { return bytes_; }
  int error() const { return error_; }
  /// Tokens of frames that have gone since this was asked last.
  std::vector<std::uint64_t> take_gone() { return std::exchange(gone_, {}); }

 private:
  void advance(std::size_t bytes);

  std::deque<OutgoingFrame> frames_;
  std::uint64_t sent_ = 0;  ///< bytes of the first frame that have gone
  std::uint64_t queued_ = 0;
  std::uint64_t bytes_ = 0;
  int error_ = 0;
  std::vector<std::uint64_t> gone_;
};

}  // namespace trireme::ps
