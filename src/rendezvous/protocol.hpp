// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/rendezvous/cause.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

// What a rank and the server say to each other after the handshake: frames of a u32 little-endian length and a body; the
// first byte of the body is the kind. Parsers are pure functions of hostile bytes: nothing for whatever is not exactly one
// message within its limits. What is parsed encodes to the same bytes again. Encoders make texts fit: longer ones are cut,
// control characters become spaces.
namespace trireme::rendezvous {

inline constexpr std::size_t text_limit = 4u << 10;     ///< host names, operation names, messages: one line each
inline constexpr std::size_t waiting_limit = 1u << 16;  ///< ranks in one status
inline constexpr std::size_t frame_limit = (1u << 20) + (4u << 10);

using Bytestring = std::vector<std::byte>;

// --- from a rank ---

/// The first message: what the connection is for.
struct Hello {
  enum class Service : std::uint8_t { store, control };
  Service service = Service::store;
  std::string host{};
  std::uint32_t world_size = 0;  ///< as the rank was told; 0: not compared
};
struct SetRequest {
  std::uint64_t id = 0;
  std::string key{};
  std::string value{};
};
/// A further request on the connection cancels a `get` that waits.
struct GetRequest {
  std::uint64_t id = 0;
  std::string key{};
};
struct AddRequest {
  std::uint64_t id = 0;
  std::string key{};
  std::int64_t delta = 0;
};
struct Report {
  Cause cause{};
};
struct Answer {
  Status status{};
};
struct Leave {};
struct Abandon {};
using ClientMessage = std::variant<Hello, SetRequest, GetRequest, AddRequest, Report, Answer, Leave, Abandon>;

// --- from the server ---

struct Welcome {};
/// Why a hello is refused: the connection ends.
struct Refused {
  ErrorCode code = ErrorCode::none;
  std::string message{};
};
struct DoneReply {
  std::uint64_t id = 0;
};
struct ValueReply {
  std::uint64_t id = 0;
  std::string value{};
};
struct NumberReply {
  std::uint64_t id = 0;
  std::int64_t number = 0;
};
struct FailedReply {
  std::uint64_t id = 0;
  ErrorCode code = ErrorCode::none;
  std::string message{};
};
struct Query {};
struct Verdict {
  Cause cause{};
};
/// The answer to Leave and Abandon.
struct Goodbye {};
using ServerMessage =
    std::variant<Welcome, Refused, DoneReply, ValueReply, NumberReply, FailedReply, Query, Verdict, Goodbye>;

Bytestring encode(const ClientMessage& message);
Bytestring encode(const ServerMessage& message);
std::optional<ClientMessage> parse_client_message(std::span<const std::byte> body);
std::optional<ServerMessage> parse_server_message(std::span<const std::byte> body);

}  // namespace trireme::rendezvous
