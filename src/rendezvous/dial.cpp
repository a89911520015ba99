// SPDX-License-Identifier: Apache-2.0
#include "rendezvous/dial.hpp"

#include "trireme/base/error.hpp"
#include "trireme/net/handshake.hpp"
#include "trireme/net/host.hpp"

#include <algorithm>
#include <thread>

namespace trireme::rendezvous {
namespace {

FramedSocket dial_once(const ServerAddress& server, Hello::Service service, Deadline deadline) {
  net::Socket connection = net::connect_tcp(server.address, deadline);
  net::Identity self = net::make_identity(server.job_id, "worker", connection_purpose, server.epoch, server.rank);
  net::handshake_as_client(connection, server.key, self, deadline);
  FramedSocket socket(std::move(connection));
  socket.queue(encode(ClientMessage(Hello{service, net::host_name()})));
  send_queued(socket, server.address, deadline);
  ServerMessage answer = receive_message(socket, server.address, deadline);
  if (auto* refused = std::get_if<Refused>(&answer)) fail(refused->code, refused->message);
  if (!std::holds_alternative<Welcome>(answer)) {
    fail(ErrorCode::corrupt,
         server.address.to_string() + " answers a greeting with something else: it is no server of ours");
  }
  return socket;
}

}  // namespace

FramedSocket dial(const ServerAddress& server, Hello::Service service, Deadline deadline) {
  for (std::chrono::milliseconds pause{20};; pause = std::min(pause * 2, std::chrono::milliseconds(1000))) {
    try {
      return dial_once(server, service, deadline);
    } catch (const Exception& exception) {
      const Error& error = exception.error();
      if (error.code == ErrorCode::timeout) {
        fail(ErrorCode::timeout,
             "cannot reach the rendezvous server at " + server.address.to_string() + ": " + error.message);
      }
      if (error.code != ErrorCode::closed && error.code != ErrorCode::peer_lost) throw;
      if (deadline.passed()) {
        fail(ErrorCode::timeout, "the rendezvous server at " + server.address.to_string() +
                                     " ends every connection before its welcome: " + error.message);
      }
    }
    std::this_thread::sleep_for(std::min(pause, std::chrono::milliseconds(deadline.milliseconds_left())));
  }
}

std::string describe_loss(const net::Address& address) {
  return "the launcher (or rank 0) at " + address.to_string() + " is gone";
}

ServerMessage receive_message(FramedSocket& socket, const net::Address& address, Deadline deadline) {
  bool is_open = true;
  for (;;) {
    if (auto body = socket.next()) {
      auto message = parse_server_message(*body);
      if (!message) fail(ErrorCode::corrupt, address.to_string() + " sent a message that is not of this protocol");
      return *std::move(message);
    }
    if (socket.is_corrupt()) fail(ErrorCode::corrupt, address.to_string() + " sent a frame beyond the limit");
    if (!is_open) fail(ErrorCode::peer_lost, describe_loss(address));
    if (!net::wait_readable(socket.socket(), deadline)) {
      fail(ErrorCode::timeout, "the rendezvous server at " + address.to_string() + " has not answered by the deadline");
    }
    is_open = socket.receive();
  }
}

void send_queued(FramedSocket& socket, const net::Address& address, Deadline deadline) {
  for (;;) {
    if (!socket.flush()) fail(ErrorCode::peer_lost, describe_loss(address));
    if (socket.queued_bytes() == 0) return;
    if (!net::wait_writable(socket.socket(), deadline)) {
      fail(ErrorCode::timeout, "the rendezvous server at " + address.to_string() + " takes nothing more");
    }
  }
}

}  // namespace trireme::rendezvous
