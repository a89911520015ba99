// SPDX-License-Identifier: Apache-2.0
#include "rendezvous/dial.hpp"

#include "trireme/base/error.hpp"
#include "trireme/net/handshake.hpp"
#include "trireme/net/host.hpp"

#include <algorithm>
#include <thread>

namespace trireme::rendezvous {
namespace {

using Clock = Deadline::Clock;
using std::chrono::seconds;

/// Whoever takes a connection and then says nothing is no server of ours, or stopped: dialled anew, for a name may lead elsewhere then.
constexpr seconds answer_limit{30};

/// Among launchers, it is that of node 0.
std::string server_name(const ServerAddress& server) {
  if (server.serving_rank >= 0) return "rank " + std::to_string(server.serving_rank);
  return server.members == "node" ? "the launcher of node 0" : "the launcher";
}

/// Says now and then for whom this rank looks, as long as nobody answers.
class Reminder {
 public:
  explicit Reminder(const ServerAddress& server) : server_(server) {}
  Clock::time_point next() const { return next_; }
  void tell(const std::string& why) {
    if (Clock::now() < next_) return;
    const auto waited = std::chrono::duration_cast<seconds>(Clock::now() - start_).count();
    server_.log(LogLevel::warning, server_.members + " " + std::to_string(server_.rank) + " looks for " +
                                       server_name(server_) + " at " + server_.address.to_string() + " (" +
                                       std::to_string(waited) + " s so far): " + why);
    next_ = Clock::now() + seconds(30);
  }

 private:
  const ServerAddress& server_;
  const Clock::time_point start_ = Clock::now();
  Clock::time_point next_ = start_ + server_.first_reminder;
};

net::Socket connect_reminding(const ServerAddress& server, Deadline deadline, Reminder& reminder) {
  for (;;) {
    try {
      return net::connect_tcp(server.address, Deadline::at(std::min(deadline.moment(), reminder.next())));
    } catch (const Exception& exception) {
      if (exception.error().code != ErrorCode::timeout || deadline.passed()) throw;
      reminder.tell(exception.error().message);
    }
  }
}

FramedSocket dial_once(const ServerAddress& server, Hello::Service service, Deadline deadline, Reminder& reminder) {
  net::Socket connection = connect_reminding(server, deadline, reminder);
  deadline = Deadline::at(std::min(deadline.moment(), Deadline::after(answer_limit).moment()));
  net::Identity self = net::make_identity(server.job_id, "worker", connection_purpose, server.epoch, server.rank);
  net::handshake_as_client(connection, server.key, self, deadline);
  FramedSocket socket(std::move(connection));
  socket.queue(encode(ClientMessage(Hello{service, net::host_name(), static_cast<std::uint32_t>(server.world_size)})));
  send_queued(socket, server, deadline);
  ServerMessage answer = receive_message(socket, server, deadline);
  if (auto* refused = std::get_if<Refused>(&answer)) fail(refused->code, refused->message);
  if (!std::holds_alternative<Welcome>(answer)) {
    fail(ErrorCode::corrupt,
         server.address.to_string() + " answers a greeting with something else: it is no server of ours");
  }
  return socket;
}

}  // namespace

FramedSocket dial(const ServerAddress& server, Hello::Service service, Deadline deadline) {
  Reminder reminder(server);
  for (std::chrono::milliseconds pause{20};; pause = std::min(pause * 2, std::chrono::milliseconds(1000))) {
    try {
      return dial_once(server, service, deadline, reminder);
    } catch (const Exception& exception) {
      const Error& error = exception.error();
      const bool is_silent = error.code == ErrorCode::timeout && !deadline.passed();
      if (is_silent) {
        reminder.tell("it takes the connection and does not answer: " + error.message);
        continue;
      }
      if (error.code == ErrorCode::timeout) {
        fail(ErrorCode::timeout,
             "cannot reach " + (server.members == "rank" ? std::string("the rendezvous server") : server_name(server)) +
                 " at " + server.address.to_string() + ": " + error.message);
      }
      if (error.code != ErrorCode::closed && error.code != ErrorCode::peer_lost) throw;
      if (deadline.passed()) {
        fail(ErrorCode::timeout, "the rendezvous server at " + server.address.to_string() +
                                     " ends every connection before its welcome: " + error.message);
      }
      reminder.tell("it ends every connection before its welcome: " + error.message);
    }
    std::this_thread::sleep_for(std::min(pause, std::chrono::milliseconds(deadline.milliseconds_left())));
  }
}

std::string describe_loss(const ServerAddress& server, const std::string& host) {
  const std::string address = server.address.to_string();
  if (server.serving_rank < 0) return server_name(server) + " at " + address + " is gone";
  return "rank " + std::to_string(server.serving_rank) + (host.empty() ? "" : " (" + host + ")") +
         ", which served the rendezvous at " + address + ", is gone";
}

ServerMessage receive_message(FramedSocket& socket, const ServerAddress& server, Deadline deadline) {
  bool is_open = true;
  for (;;) {
    if (auto body = socket.next()) {
      auto message = parse_server_message(*body);
      if (!message)
        fail(ErrorCode::corrupt, server.address.to_string() + " sent a message that is not of this protocol");
      return *std::move(message);
    }
    if (socket.is_corrupt()) fail(ErrorCode::corrupt, server.address.to_string() + " sent a frame beyond the limit");
    if (!is_open) fail(ErrorCode::peer_lost, describe_loss(server));
    if (!net::wait_readable(socket.socket(), deadline)) {
      fail(ErrorCode::timeout,
           "the rendezvous server at " + server.address.to_string() + " has not answered by the deadline");
    }
    is_open = socket.receive();
  }
}

void send_queued(FramedSocket& socket, const ServerAddress& server, Deadline deadline) {
  for (;;) {
    if (!socket.flush()) fail(ErrorCode::peer_lost, describe_loss(server));
    if (socket.queued_bytes() == 0) return;
    if (!net::wait_writable(socket.socket(), deadline)) {
      fail(ErrorCode::timeout, "the rendezvous server at " + server.address.to_string() + " takes nothing more");
    }
  }
}

}  // namespace trireme::rendezvous
