// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/deadline.hpp"
#include "trireme/net/job_key.hpp"
#include "trireme/net/socket.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace trireme::net {

/// What both ends of a connection prove to each other before anything else is accepted.
struct Identity {
  std::string job_id;          ///< must be equal on both sides
  std::string role;            ///< "worker", "store", "launcher", …: what this end is
  std::string purpose;         ///< "store", "control", "data": what the connection is for; must be equal on both sides
  std::uint64_t epoch = 0;     ///< membership epoch; must be equal on both sides
  std::int32_t rank = -1;      ///< own rank, -1 if none
  std::uint32_t protocol = 1;  ///< protocol version; must be equal
  std::string build;           ///< version text; must be equal
  std::string isa;             ///< "x86_64-little/avx2": the byte order must be equal; of the rest a difference
                               ///< is reported to the caller, not refused
};

/// This build's protocol version, version text, and architecture (endianness included) filled in.
Identity make_identity(std::string job_id, std::string role, std::string purpose, std::uint64_t epoch, int rank);

/// What the two ends of one connection know when they have shaken hands, and nobody who does not hold the job key.
using SessionSecret = std::array<std::byte, 32>;

/// Mutual authentication by HMAC-SHA256 over both nonces and both identities, the two directions with different labels
/// (a reflected proof is refused). Nothing of the peer is believed before its proof is verified in constant time.
/// Each side calls one of the two. Returns the peer's identity.
/// Errors: closed, timeout as receive_all; invalid_argument "… wrong job key" when the client's proof is bad (the client
///         is told and reports the same) or the server's is; mismatch, on both sides alike, naming the field and both
///         values; corrupt for anything that is not this protocol; invalid_argument, before anything is sent, when a
///         text of `self` is above 512 bytes.
/// `session`: filled in, the same on both sides.
Identity handshake_as_client(const Socket& socket, const JobKey& key, const Identity& self, Deadline deadline,
                             SessionSecret* session = nullptr);
Identity handshake_as_server(const Socket& socket, const JobKey& key, const Identity& self, Deadline deadline,
                             SessionSecret* session = nullptr);

}  // namespace trireme::net
