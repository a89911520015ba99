// SPDX-License-Identifier: Apache-2.0
#include "rendezvous/dial.hpp"
#include "rendezvous/store_contents.hpp"
#include "trireme/base/error.hpp"
#include "trireme/rendezvous/server.hpp"

#include <chrono>

namespace trireme::rendezvous {
namespace {

/// For requests that the server answers without waiting for anybody.
constexpr std::chrono::seconds answer_limit{30};

class TcpStore final : public Store {
 public:
  TcpStore(FramedSocket socket, ServerAddress server) : socket_(std::move(socket)), server_(std::move(server)) {}

  void set(const std::string& key, const std::string& value) override {
    check_key(key);
    check_value(key, value);
    take<DoneReply>(call(SetRequest{++last_id_, key, value}, Deadline::after(answer_limit)));
  }

  std::string get(const std::string& key, Deadline deadline) override {
    check_key(key);
    try {
      return take<ValueReply>(call(GetRequest{++last_id_, key}, deadline)).value;
    } catch (const Exception& exception) {
      if (exception.error().code != ErrorCode::timeout) throw;
      fail(ErrorCode::timeout,
           "nobody has set store key '" + key + "' at " + server_.address.to_string() + " by the deadline");
    }
  }

  std::int64_t add(const std::string& key, std::int64_t delta) override {
    check_key(key);
    return take<NumberReply>(call(AddRequest{++last_id_, key, delta}, Deadline::after(answer_limit))).number;
  }

 private:
  /// Sends a request and waits for the answer with its id; answers to requests given up earlier are passed over.
  ServerMessage call(ClientMessage request, Deadline deadline) {
    socket_.queue(encode(request));
    send_queued(socket_, server_, deadline);
    for (;;) {
      ServerMessage message = receive_message(socket_, server_, deadline);
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

  FramedSocket socket_;
  ServerAddress server_;
  std::uint64_t last_id_ = 0;
};

}  // namespace

std::unique_ptr<Store> connect_store(const ServerAddress& server, Deadline deadline) {
  return std::make_unique<TcpStore>(dial(server, Hello::Service::store, deadline), server);
}

}  // namespace trireme::rendezvous
