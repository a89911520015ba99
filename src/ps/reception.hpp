// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/message.hpp"
#include "rendezvous/visits.hpp"
#include "trireme/net/connection.hpp"
#include "trireme/net/handshake.hpp"
#include "trireme/net/job_key.hpp"
#include "trireme/net/socket.hpp"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace trireme::ps {

/// Both ends name this as the purpose of a connection: so who wants TLS and who does not are told.
inline const char* connection_purpose(bool tls) { return tls ? "ps over TLS" : "ps"; }

/// What a connection is for, as its handshake's role says: "worker/2", "server/2": to event loop 2.
struct Role {
  bool is_server = false;
  std::uint32_t loop = 0;
  std::string to_text() const;
  static std::optional<Role> parse(const std::string& text);
};

/// Where new connections prove who they are: by the handshake and, of a worker, its Join, within 10 s.
/// Threads: all calls come from one thread, the acceptor's.
class Reception {
 public:
  struct Guest {
    net::Connection socket;
    std::string from;  ///< its address, for messages
    net::Identity identity{};
    Role role{};
    std::optional<Join> join{};  ///< of a worker
    std::string problem{};       ///< why it must go; empty: it may come in
  };

  /// `ring` is called, from any thread, when a guest is ready.
  Reception(net::JobKey key, net::Identity self, bool tls, std::function<void()> ring)
      : key_(key), self_(std::move(self)), tls_(tls), ring_(std::move(ring)) {}
  /// Whether there is room for one more: see Visits.
  bool has_room() { return visits_.has_room(); }
  /// Errors: system when no thread can be had.
  void admit(net::Socket socket, std::string from, bool is_tcp);
  /// Those who are ready now.
  std::vector<Guest> ready() { return visits_.ready(); }

 private:
  void receive(Guest& guest, bool is_tcp) const noexcept;

  net::JobKey key_;
  net::Identity self_;
  bool tls_;
  std::function<void()> ring_;
  rendezvous::Visits<Guest> visits_;  ///< last: their threads use the rest
};

}  // namespace trireme::ps
