// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/transport/endpoint.hpp"

#include <bit>
#include <cstdint>
#include <string_view>
#include <type_traits>

namespace trireme::transport {

static_assert(std::endian::native == std::endian::little, "frames are little-endian; the handshake refuses others");

/// What a frame is. Part of the wire format: never renumber.
enum class FrameType : std::uint8_t {
  message = 1,  ///< header and the whole payload
  offer = 2,    ///< header of a payload that waits: lent (token) or to be streamed
  accept = 3,   ///< the receiver's destination is posted: stream
  data = 4,     ///< a piece of an accepted payload; token is its offset, a multiple of piece_bytes
  finish = 5,   ///< the receiver has read the lent payload
  note = 6,     ///< a stamp alone; flags is the listener's kind
};

/// One cache line before every payload, as it is on the wire.
struct FrameHeader {
  std::uint16_t magic = expected_magic;
  FrameType type = FrameType::message;
  std::uint8_t flags = 0;
  std::uint32_t communicator = 0;
  std::uint32_t index = 0;
  std::uint32_t inline_bytes = 0;  ///< bytes of payload that follow this header
  std::uint64_t operation = 0;
  std::uint64_t bytes = 0;  ///< the whole message's payload
  std::uint64_t token = 0;
  Stamp stamp{};

  static constexpr std::uint16_t expected_magic = 0x7254;
  static constexpr std::uint8_t lent = 1;  ///< flag of an offer: the payload can be read in place
  MessageKey key() const { return {communicator, index, operation}; }
};
static_assert(sizeof(FrameHeader) == 64 && std::is_trivially_copyable_v<FrameHeader>);

/// Why a header as read from the wire cannot be believed; empty if it can. Pure: fuzzed.
std::string_view fault_of(const FrameHeader& header, std::size_t eager_bytes, std::size_t piece_bytes);

}  // namespace trireme::transport
