// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace trireme::rendezvous {

/// Cuts a stream of bytes into frames: a u32 little-endian length, then so many bytes. Keeps what has arrived of the next
/// one. A length above the limit makes it corrupt for good; nothing is allocated for a length that is only claimed.
class FrameReader {
 public:
  explicit FrameReader(std::size_t limit_bytes) : limit_(limit_bytes) {}
  void append(std::span<const std::byte> bytes);
  std::optional<std::vector<std::byte>> next();
  bool is_corrupt() const { return corrupt_; }

 private:
  std::size_t limit_;
  std::vector<std::byte> pending_;
  std::size_t taken_ = 0;  ///< bytes of pending_ handed out already
  bool corrupt_ = false;
};

}  // namespace trireme::rendezvous
