// SPDX-License-Identifier: Apache-2.0
#include "ps/incoming_frames.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include <sys/uio.h>

namespace trireme::ps {
namespace {

constexpr std::size_t first_buffer_bytes = 32768;

}  // namespace

IncomingFrames::IncomingFrames(std::uint64_t payload_limit, Place place, std::size_t control_limit)
    : limit_(payload_limit), control_limit_(control_limit), place_(std::move(place)), buffer_(first_buffer_bytes) {}

/// One read: into `target` first, what follows into the buffer.
IncomingFrames::Read IncomingFrames::fill(net::Connection& connection, std::span<std::byte> target) {
  if (is_drained_) {
    is_drained_ = false;
    return Read::none;
  }
  const std::array<iovec, 2> pieces{iovec{target.data(), target.size()},
                                    iovec{buffer_.data() + end_, buffer_.size() - end_}};
  const net::Connection::Moved moved = connection.receive(std::span(pieces).subspan(target.empty() ? 1 : 0));
  if (moved.is_over) {
    error_ = moved.error;
    return Read::end;
  }
  if (moved.bytes == 0) return Read::none;
  bytes_ += moved.bytes;
  is_drained_ = moved.is_all_there_is;
  const std::size_t of_target = std::min(moved.bytes, target.size());
  if (!target.empty()) missing_ = missing_.subspan(of_target);
  end_ += moved.bytes - of_target;
  return Read::some;
}

/// The buffer can hold `bytes` from begin_ on.
void IncomingFrames::make_room(std::size_t bytes) {
  if (begin_ == end_) begin_ = end_ = 0;
  if (begin_ + bytes <= buffer_.size() && end_ < buffer_.size()) return;
  std::memmove(buffer_.data(), buffer_.data() + begin_, buffered());
  end_ -= begin_;
  begin_ = 0;
  if (buffer_.size() < bytes) buffer_.resize(bytes);
}

/// The control part has been read: what of the payload is in the buffer already goes to its place.
void IncomingFrames::begin_payload() {
  std::span<std::byte> target;
  if (place_) target = place_(*control_, head_.payload_bytes);
  is_given_ = !target.empty();
  payload_ = Payload();
  if (!is_given_) {
    payload_ = Payload(head_.payload_bytes);
    target = payload_;
  }
  if (target.size() != head_.payload_bytes) fail(ErrorCode::corrupt, "a payload is not as long as what it is for");
  const std::size_t here = std::min(buffered(), target.size());
  if (here != 0) std::memcpy(target.data(), buffer_.data() + begin_, here);
  begin_ += here;
  missing_ = target.subspan(here);
  phase_ = Phase::payload;
}

IncomingFrames::Outcome IncomingFrames::next(net::Connection& connection, Message& message) {
  try {
    for (;;) {
      if (phase_ == Phase::head && buffered() >= FrameHead::size) {
        head_ = parse_head(std::span<const std::byte, FrameHead::size>(buffer_.data() + begin_, FrameHead::size),
                           limit_, control_limit_);
        begin_ += FrameHead::size;
        phase_ = Phase::control;
      }
      if (phase_ == Phase::control && buffered() >= head_.control_bytes) {
        control_ = decode(std::span(buffer_).subspan(begin_, head_.control_bytes), head_.payload_bytes, control_limit_);
        begin_ += head_.control_bytes;
        begin_payload();
      }
      if (phase_ == Phase::payload && missing_.empty()) {
        message = {std::move(*control_), std::move(payload_)};
        phase_ = Phase::head;
        return Outcome::frame;
      }
      std::span<std::byte> target;
      if (phase_ == Phase::payload) {
        target = missing_;
        begin_ = end_ = 0;  // all that was there has gone to the payload
      } else {
        make_room(phase_ == Phase::head ? FrameHead::size : head_.control_bytes);
      }
      switch (fill(connection, target)) {
        case Read::some: break;
        case Read::none: return Outcome::nothing;
        case Read::end: return Outcome::ended;
      }
    }
  } catch (const Exception& exception) {
    problem_ = exception.error().message;
  } catch (const std::bad_alloc&) {
    problem_ = "there is no memory for " + std::to_string(head_.payload_bytes) + " bytes";
  }
  return Outcome::corrupt;
}

}  // namespace trireme::ps
