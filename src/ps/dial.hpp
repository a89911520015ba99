// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/reception.hpp"
#include "trireme/base/deadline.hpp"
#include "trireme/net/handshake.hpp"
#include "trireme/net/job_key.hpp"
#include "trireme/net/socket.hpp"
#include "trireme/ps/server.hpp"

#include <cstdint>
#include <mutex>
#include <string>

namespace trireme::ps {

/// Who dials.
struct Caller {
  net::JobKey key;
  std::string job_id;
  std::uint64_t epoch = 0;
  int rank = -1;
  std::string congestion{};  ///< as net::settle_congestion() takes it
  bool tls = false;
};

/// Lets another thread end what a dialling one waits for.
class DialBreaker {
 public:
  /// Ends the wait under way, within 50 ms, and all later ones.
  void stop();
  bool is_stopped() const;

 private:
  friend net::Connection dial(const ServerCard&, const Caller&, Role, Deadline, DialBreaker*);
  bool watch(int descriptor);
  void forget();
  mutable std::mutex mutex_;
  bool stopped_ = false;
  int descriptor_ = -1;
};

/// A connection on which server and caller have proved themselves: by the local socket where the server is on this host, else to
/// whichever of its addresses answers first.
/// Errors: peer_lost when another server is there; as net::race_tcp, net::connect_local, net::handshake_as_client and Connection::secure_as_client; closed when the breaker was used.
net::Connection dial(const ServerCard& card, const Caller& caller, Role role, Deadline deadline,
                     DialBreaker* breaker = nullptr);

/// "server 1 on <host>": for messages.
std::string name_of_server(std::uint32_t server, const ServerCard* card);

}  // namespace trireme::ps
