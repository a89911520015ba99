// SPDX-License-Identifier: Apache-2.0
#include "rendezvous/frame_reader.hpp"

#include "trireme/net/wire.hpp"

namespace trireme::rendezvous {

void FrameReader::append(std::span<const std::byte> bytes) {
  if (corrupt_) return;
  if (taken_ > 0) {
    pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(taken_));
    taken_ = 0;
  }
  pending_.insert(pending_.end(), bytes.begin(), bytes.end());
}

std::optional<std::vector<std::byte>> FrameReader::next() {
  constexpr std::size_t prefix = 4;
  std::span<const std::byte> rest = std::span(pending_).subspan(taken_);
  if (corrupt_ || rest.size() < prefix) return std::nullopt;
  std::size_t length = net::Reader(rest.first(prefix)).u32();
  if (length > limit_) {
    corrupt_ = true;
    pending_.clear();
    taken_ = 0;
    return std::nullopt;
  }
  if (rest.size() - prefix < length) return std::nullopt;
  std::span<const std::byte> body = rest.subspan(prefix, length);
  taken_ += prefix + length;
  return std::vector<std::byte>(body.begin(), body.end());
}

}  // namespace trireme::rendezvous
