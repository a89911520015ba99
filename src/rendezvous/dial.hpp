// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "rendezvous/framed_socket.hpp"
#include "rendezvous/protocol.hpp"
#include "trireme/rendezvous/server.hpp"

namespace trireme::rendezvous {

/// Both ends name this as the purpose of the connection; the greeting says store or control.
inline constexpr const char* connection_purpose = "rendezvous";

/// A connection on which the server has proved itself and welcomed us. Tries again, until the deadline, while nobody
/// listens or the connection ends before the welcome, and logs for whom it looks.
/// Errors: timeout naming the address; what the server refuses with; as net::handshake_as_client.
FramedSocket dial(const ServerAddress& server, Hello::Service service, Deadline deadline);

/// "the launcher at 10.0.0.1:4000 is gone", "rank 0 (host-a), which served the rendezvous at 10.0.0.1:4000, is gone".
std::string describe_loss(const ServerAddress& server, const std::string& host = "");

/// The next message, waiting for it.
/// Errors: timeout; peer_lost when the connection has ended; corrupt.
ServerMessage receive_message(FramedSocket& socket, const ServerAddress& server, Deadline deadline);

/// Sends all that is queued. Errors: as receive_message.
void send_queued(FramedSocket& socket, const ServerAddress& server, Deadline deadline);

}  // namespace trireme::rendezvous
