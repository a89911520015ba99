// SPDX-License-Identifier: Apache-2.0
#include "ps/dial.hpp"

#include "trireme/base/error.hpp"
#include "trireme/net/host.hpp"

#include <functional>

#include <sys/socket.h>

namespace trireme::ps {

void DialBreaker::stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
  if (descriptor_ >= 0) ::shutdown(descriptor_, SHUT_RDWR);
}

bool DialBreaker::is_stopped() const {
  std::lock_guard lock(mutex_);
  return stopped_;
}

bool DialBreaker::watch(int descriptor) {
  std::lock_guard lock(mutex_);
  if (stopped_) return false;
  descriptor_ = descriptor;
  return true;
}

void DialBreaker::forget() {
  std::lock_guard lock(mutex_);
  descriptor_ = -1;
}

net::Connection dial(const ServerCard& card, const Caller& caller, Role role, Deadline deadline, DialBreaker* breaker) {
  if (breaker != nullptr && breaker->is_stopped()) fail(ErrorCode::closed, "nobody is dialled any more");
  const bool is_local = !card.local.empty() && card.host == net::host_identity();
  std::function<bool()> is_given_up;
  if (breaker != nullptr) is_given_up = [breaker] { return breaker->is_stopped(); };
  net::Connection connection(is_local ? net::connect_local(card.local, deadline, is_given_up)
                                      : net::race_tcp(card.addresses, deadline, 0, is_given_up).socket);
  if (!is_local && !net::settle_congestion(connection.socket(), caller.congestion))
    fail(ErrorCode::invalid_argument, "this process cannot use the congestion control '" + caller.congestion + "'");
  // A handshake may wait for a server that never answers: whoever ends this caller cuts it short.
  struct Watched {
    DialBreaker* breaker;
    ~Watched() {
      if (breaker != nullptr) breaker->forget();
    }
  } watched{breaker};
  if (breaker != nullptr && !breaker->watch(connection.descriptor()))
    fail(ErrorCode::closed, "nobody is dialled any more");
  net::SessionSecret secret;
  const net::Identity peer = net::handshake_as_client(
      connection.socket(), caller.key,
      net::make_identity(caller.job_id, role.to_text(), connection_purpose(caller.tls), caller.epoch, caller.rank),
      deadline, &secret);
  // A port may be another server's by now.
  if (peer.rank != static_cast<int>(card.server))
    fail(ErrorCode::peer_lost, name_of_server(card.server, &card) + " is dialled, and server " +
                                   std::to_string(peer.rank) + " answers there");
  if (caller.tls) connection.secure_as_client(secret, deadline);
  if (!is_local) net::let_stall(connection.socket());
  return connection;
}

std::string name_of_server(std::uint32_t server, const ServerCard* card) {
  std::string name = "parameter server " + std::to_string(server);
  if (card == nullptr) return name;
  if (!card->addresses.empty()) return name + " at " + card->addresses.front().to_string();
  return card->local.empty() ? name : name + " on this host";
}

}  // namespace trireme::ps
