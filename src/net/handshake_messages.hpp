// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/net/handshake.hpp"

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace trireme::net {

// The handshake as pure functions over bytes: no socket, no clock, nothing thrown for what the peer sent. A frame is
//   magic "TRIREME", format version (u8), kind (u32), payload length (u32), payload
// and four frames are exchanged:
//   client -> server  hello      nonce, identity
//   server -> client  challenge  nonce, identity
//   client -> server  proof      HMAC-SHA256(key, "client" label, both nonces, both identities)
//   server -> client  proof      the same with the "server" label; or refusal (empty): the client's proof was bad
// The client proves first: a port scanner that speaks the protocol gets nothing to try keys against.

inline constexpr std::size_t frame_header_bytes = 16;
inline constexpr std::size_t frame_limit_bytes = 4096;   ///< of a payload; checked before anything is allocated
inline constexpr std::size_t identity_text_limit = 512;  ///< bytes of each text of an Identity
inline constexpr std::size_t nonce_bytes = 32;
inline constexpr std::size_t proof_bytes = 32;

using Nonce = std::array<std::byte, nonce_bytes>;
using Proof = std::array<std::byte, proof_bytes>;

enum class FrameKind : std::uint32_t { hello = 1, challenge = 2, proof = 3, refusal = 4 };

/// A frame whole, ready to send.
std::vector<std::byte> make_frame(FrameKind kind, std::span<const std::byte> payload);

struct FrameHeader {
  FrameKind kind = FrameKind::hello;
  std::size_t payload_bytes = 0;
};

/// Reads a header. On nothing, `problem` says what is wrong with it: a foreign protocol, another format version, a kind
/// that does not exist, a length that this kind cannot have.
std::optional<FrameHeader> parse_frame_header(std::span<const std::byte, frame_header_bytes> bytes,
                                              std::string& problem);

/// Whether a connection whose first byte is this one can be a Trireme connection at all.
bool may_start_frame(std::byte first);

/// An identity as it travels and as it is proved: one encoding, so equal identities have equal bytes.
/// Errors: invalid_argument naming the field when a text is above identity_text_limit.
std::vector<std::byte> encode_identity(const Identity& identity);
std::optional<Identity> parse_identity(std::span<const std::byte> bytes);

/// The payload of hello and challenge.
struct Introduction {
  Nonce nonce{};
  std::vector<std::byte> identity;  ///< encoded, exactly as it will be proved
};
std::vector<std::byte> encode_introduction(const Introduction& introduction);
/// Nothing unless nonce and identity are whole, well formed and followed by nothing.
std::optional<Introduction> parse_introduction(std::span<const std::byte> payload);

enum class Side { client, server };

/// What `side` sends to show that it holds the key.
Proof make_proof(const JobKey& key, Side side, const Introduction& client, const Introduction& server);
/// What both know then: HMAC-SHA256 as of a proof, with a label of its own.
SessionSecret make_session_secret(const JobKey& key, const Introduction& client, const Introduction& server);
/// Whether `payload` is that proof. Cost: independent of where the bytes differ.
bool is_proof(std::span<const std::byte> payload, const Proof& expected);

/// The first field that must be equal and is not, with both values; empty when all are.
std::string describe_mismatch(const Identity& own, const Identity& peer);

}  // namespace trireme::net
