// SPDX-License-Identifier: Apache-2.0
#include "transport/endpoint/frame.hpp"

#include <algorithm>

namespace trireme::transport {

std::string_view fault_of(const FrameHeader& header, std::size_t eager_bytes, std::size_t piece_bytes) {
  constexpr std::uint64_t largest_message = std::uint64_t{1} << 48;
  if (header.magic != FrameHeader::expected_magic) return "a frame without its magic number";
  if (header.bytes > largest_message) return "a message of an impossible size";
  switch (header.type) {
    case FrameType::message:
      if (header.inline_bytes != header.bytes || header.bytes > eager_bytes)
        return "an eager message of an impossible size";
      return {};
    case FrameType::data:
      if (header.token >= header.bytes || header.token % piece_bytes != 0 ||
          header.inline_bytes != std::min<std::uint64_t>(piece_bytes, header.bytes - header.token)) {
        return "a piece that does not fit its message";
      }
      return {};
    case FrameType::offer:
    case FrameType::accept:
    case FrameType::finish:
      if (header.bytes <= eager_bytes) return "an offer of what fits a message";
      [[fallthrough]];
    case FrameType::note:
      if (header.inline_bytes != 0) return "payload where none belongs";
      return {};
  }
  return "a frame of an unknown type";
}

}  // namespace trireme::transport
