// SPDX-License-Identifier: Apache-2.0
#include "rendezvous/dial.hpp"
#include "rendezvous/store_contents.hpp"
#include "trireme/base/error.hpp"
#include "trireme/rendezvous/server.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

namespace trireme::rendezvous {
namespace {

using Clock = Deadline::Clock;
using std::chrono::milliseconds;

/// For requests that the server answers without waiting for anybody.
constexpr std::chrono::seconds answer_limit{30};
/// A lasting store is dialled for so long in one call, and not again before a pause, so that who asks often does not wait each time.
constexpr milliseconds redial_limit{1000}, shortest_pause{50}, longest_pause{2000};

class TcpStore final : public Store {
 public:
  TcpStore(FramedSocket socket, ServerAddress server, bool lasts)
      : socket_(std::move(socket)), server_(std::move(server)), lasts_(lasts) {}

  void set(const std::string& key, const std::string& value) override {
    check_key(key);
    check_value(key, value);
    take<DoneReply>(call(SetRequest{++last_id_, key, value}, Deadline::after(answer_limit), true));
  }

  std::string get(const std::string& key, Deadline deadline) override {
    check_key(key);
    try {
      return take<ValueReply>(call(GetRequest{++last_id_, key}, deadline, true)).value;
    } catch (const Exception& exception) {
      if (exception.error().code != ErrorCode::timeout) throw;
      fail(ErrorCode::timeout,
           "nobody has set store key '" + key + "' at " + server_.address.to_string() + " by the deadline");
    }
  }

  std::int64_t add(const std::string& key, std::int64_t delta) override {
    check_key(key);
    const bool only_reads = delta == 0;
    return take<NumberReply>(call(AddRequest{++last_id_, key, delta}, Deadline::after(answer_limit), only_reads))
        .number;
  }

 private:
  /// `may_repeat`: asked twice it is as if asked once.
  ServerMessage call(ClientMessage request, Deadline deadline, bool may_repeat) {
    if (!lasts_) return ask(request, deadline);
    if (socket_ && !socket_->receive()) socket_.reset();  // nothing was asked of it: a loss seen here costs no request
    const bool is_new = !socket_;
    if (is_new) redial(deadline);
    try {
      return ask(request, deadline);
    } catch (const Exception& exception) {
      const ErrorCode code = exception.error().code;
      // A key that nobody sets for long is no fault of the connection.
      if (code == ErrorCode::timeout && std::holds_alternative<GetRequest>(request)) throw;
      socket_.reset();
      if (code != ErrorCode::peer_lost || is_new || !may_repeat) throw;
    }
    redial(deadline);
    return ask(request, deadline);
  }

  /// Errors: peer_lost while it is not reached.
  void redial(Deadline deadline) {
    if (Clock::now() < dial_again_at_) fail(ErrorCode::peer_lost, describe_loss(server_));
    try {
      socket_.emplace(dial(server_, Hello::Service::store,
                           Deadline::at(std::min(deadline.moment(), Deadline::after(redial_limit).moment()))));
      pause_ = shortest_pause;
    } catch (const Exception& exception) {
      dial_again_at_ = Clock::now() + pause_;
      pause_ = std::min(2 * pause_, longest_pause);
      fail(ErrorCode::peer_lost, describe_loss(server_) + ": " + exception.error().message);
    }
  }

  /// Sends a request and waits for the answer with its id; answers to requests given up earlier are passed over.
  ServerMessage ask(const ClientMessage& request, Deadline deadline) {
    socket_->queue(encode(request));
    send_queued(*socket_, server_, deadline);
    for (;;) {
      ServerMessage message = receive_message(*socket_, server_, deadline);
      std::uint64_t id = std::visit([](const auto& reply) { return id_of(reply); }, message);
      if (id == last_id_) return message;
      if (id == 0 || id > last_id_) {
        fail(ErrorCode::corrupt, server_.address.to_string() + " sent a message that is no answer of a store");
      }
    }
  }

  template <class Reply>
  static std::uint64_t id_of(const Reply& reply) {
    if constexpr (requires { reply.id; }) return reply.id;
    return 0;
  }

  template <class Reply>
  Reply take(ServerMessage message) const {
    if (auto* failed = std::get_if<FailedReply>(&message)) fail(failed->code, failed->message);
    auto* reply = std::get_if<Reply>(&message);
    if (reply == nullptr) fail(ErrorCode::corrupt, server_.address.to_string() + " answered another question");
    return std::move(*reply);
  }

  std::optional<FramedSocket> socket_;
  const ServerAddress server_;
  const bool lasts_;
  std::uint64_t last_id_ = 0;
  Clock::time_point dial_again_at_{};
  milliseconds pause_ = shortest_pause;
};

}  // namespace

std::unique_ptr<Store> connect_store(const ServerAddress& server, Deadline deadline) {
  return std::make_unique<TcpStore>(dial(server, Hello::Service::store, deadline), server, false);
}

std::unique_ptr<Store> connect_lasting_store(const ServerAddress& server, Deadline deadline) {
  return std::make_unique<TcpStore>(dial(server, Hello::Service::store, deadline), server, true);
}

}  // namespace trireme::rendezvous
