// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/error.hpp"
#include "trireme/net/handshake.hpp"
#include "trireme/transport/transport.hpp"

#include <optional>
#include <string>

namespace trireme::transport {

inline net::Identity data_identity(const Membership& self) {
  return net::make_identity(self.job_id, "worker", "data", self.epoch, self.rank);
}

/// The connecting side of a data connection: proves itself and insists on meeting `peer`.
inline void admit_as_client(const net::Socket& socket, const Membership& self, int peer, Deadline deadline) {
  const auto identity = net::handshake_as_client(socket, self.key, data_identity(self), deadline);
  if (identity.rank != peer) {
    fail(ErrorCode::mismatch, "connected to rank " + std::to_string(identity.rank) + " where rank " +
                                  std::to_string(peer) + " was expected");
  }
}

/// The accepting side: the rank that proved itself, or nothing and the reason when it is no peer. Whether that rank is
/// expected is its caller's to know.
inline std::optional<int> admit_as_server(const net::Socket& socket, const Membership& self, Deadline deadline,
                                          std::string& refusal) {
  try {
    const auto identity = net::handshake_as_server(socket, self.key, data_identity(self), deadline);
    if (identity.rank >= 0 && identity.rank != self.rank && identity.rank < self.world_size) return identity.rank;
    refusal = "rank " + std::to_string(identity.rank) + " may not connect to rank " + std::to_string(self.rank);
  } catch (const Exception& error) {
    refusal = error.error().message;
  }
  return std::nullopt;
}

}  // namespace trireme::transport
