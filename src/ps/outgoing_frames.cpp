// SPDX-License-Identifier: Apache-2.0
#include "ps/outgoing_frames.hpp"

#include "ps/wire.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <sys/uio.h>

namespace trireme::ps {
namespace {

constexpr std::size_t pieces_at_once = 64;
/// Of one call: the peer is to read the first bytes while the last are still in this processor's cache, and may have to be
/// scheduled on this very processor.
constexpr std::size_t bytes_per_call = 512u << 10;

std::uint64_t size_of_frame(const OutgoingFrame& frame) { return frame.head.size() + frame.payload_bytes(); }

}  // namespace

std::uint64_t OutgoingFrame::payload_bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& piece : payload) bytes += piece.size();
  return bytes;
}

OutgoingFrame make_frame(const Control& control, std::shared_ptr<const Payload> payload) {
  OutgoingFrame frame{.head = encode_frame(control, payload ? payload->size() : 0)};
  if (payload && !payload->empty()) {
    frame.payload.push_back(*payload);
    frame.keeps = std::move(payload);
  }
  return frame;
}

void OutgoingFrames::queue(OutgoingFrame frame) {
  queued_ += size_of_frame(frame);
  frames_.push_back(std::move(frame));
}

bool OutgoingFrames::flush(net::Connection& connection) {
  while (!frames_.empty()) {
    std::array<iovec, pieces_at_once> pieces;
    std::size_t count = 0, skip = sent_, wanted = 0;
    const auto add = [&](std::span<const std::byte> piece) {
      const std::size_t passed = std::min(skip, piece.size());
      skip -= passed;
      piece = piece.subspan(passed);
      piece = piece.first(std::min(piece.size(), bytes_per_call - wanted));
      if (piece.empty() || count == pieces.size()) return;
      // Nobody writes through these pointers; iovec is shared with readv(2).
      pieces[count++] = {const_cast<std::byte*>(piece.data()), piece.size()};
      wanted += piece.size();
    };
    for (const OutgoingFrame& frame : frames_) {
      if (count == pieces.size() || wanted == bytes_per_call) break;
      add(frame.head);
      for (const auto& piece : frame.payload) add(piece);
    }
    const net::Connection::Moved moved = connection.send(std::span(pieces).first(count));
    if (moved.is_over) {
      error_ = moved.error == 0 ? EPIPE : moved.error;
      return false;
    }
    advance(moved.bytes);
    if (moved.bytes < wanted) return true;
  }
  return true;
}

void OutgoingFrames::advance(std::size_t bytes) {
  bytes_ += bytes;
  queued_ -= bytes;
  sent_ += bytes;
  while (!frames_.empty()) {
    const std::uint64_t whole = size_of_frame(frames_.front());
    if (sent_ < whole) return;
    sent_ -= whole;
    if (frames_.front().token != 0) gone_.push_back(frames_.front().token);
    frames_.pop_front();
  }
}

}  // namespace trireme::ps
