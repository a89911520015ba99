// SPDX-License-Identifier: Apache-2.0
#include "ear.hpp"
#include "rendezvous/dial.hpp"
#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <thread>

#include <sys/socket.h>

using namespace trireme;
using namespace trireme::rendezvous;
using namespace trireme::rendezvous::testing;
using Catch::Matchers::Contains;

namespace {

Error error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Exception& exception) {
    return exception.error();
  }
  return {};
}

}  // namespace

TEST_CASE("A wrong job key is refused, on both sides, and disturbs nobody") {
  Lines lines;
  auto server = Server::start(options_for(2, lines.log()));
  auto honest = connect_store(rank_of(server->address(), 0), soon());
  ServerAddress stranger = rank_of(server->address(), 1);
  stranger.key = net::JobKey::random();
  Ear ear;
  for (const Error& error : {error_of([&] { connect_store(stranger, soon()); }),
                             error_of([&] { connect_control(stranger, ear, soon()); })}) {
    REQUIRE(error.code == ErrorCode::invalid_argument);
    REQUIRE_THAT(error.message, Contains("wrong job key"));
  }
  REQUIRE_THAT(lines.find("wrong job key"), Contains("dropped a connection from 127.0.0.1:"));
  honest->set("key", "value");
  REQUIRE(connect_store(rank_of(server->address(), 1), soon())->get("key", soon()) == "value");
}

TEST_CASE("Members of another job or epoch are refused, naming the difference") {
  auto server = Server::start(options_for(2));
  ServerAddress other = rank_of(server->address(), 1);
  SECTION("job") { other.job_id = "job-2"; }
  SECTION("epoch") { other.epoch = 3; }
  REQUIRE(error_of([&] { connect_store(other, soon()); }).code == ErrorCode::mismatch);
}

TEST_CASE("A rank outside the world gets no store either") {
  auto server = Server::start(options_for(2));
  Error error = error_of([&] { connect_store(rank_of(server->address(), 2), soon()); });
  REQUIRE(error.code == ErrorCode::invalid_argument);
  REQUIRE_THAT(error.message, Contains("rank 2 is outside the world of 2 ranks"));
}

TEST_CASE("Bytes that are no handshake are dropped with a line, and disturb nobody") {
  Lines lines;
  auto server = Server::start(options_for(1, lines.log()));
  auto store = connect_store(rank_of(server->address(), 0), soon());
  net::Socket stranger = net::connect_tcp(server->address(), soon());
  std::vector<std::byte> garbage(300, std::byte{0xa5});
  net::send_all(stranger, garbage, soon());
  REQUIRE_THAT(lines.find("dropped a connection"), Contains("127.0.0.1:"));
  store->set("key", "value");
  REQUIRE(store->get("key", soon()) == "value");
}

TEST_CASE("A member that stops speaking the protocol is dropped; on a control channel that is its end") {
  Lines lines;
  auto server = Server::start(options_for(2, lines.log()));
  Ear ear(waiting(1, {1}));
  auto channel = connect_control(rank_of(server->address(), 0), ear, soon());
  auto service = GENERATE(Hello::Service::store, Hello::Service::control);
  FramedSocket member = dial(rank_of(server->address(), 1), service, soon());
  bool needs_second = false;
  SECTION("with a message of no kind") { member.queue(std::vector<std::byte>(5, std::byte{0xff})); }
  SECTION("with an empty message") { member.queue({}); }
  SECTION("with a second greeting") { member.queue(encode(ClientMessage(Hello{service, "host"}))); }
  SECTION("with a message of the other service") {
    member.queue(service == Hello::Service::store ? encode(ClientMessage(Leave{}))
                                                  : encode(ClientMessage(GetRequest{1, "key"})));
  }
  SECTION("with a frame beyond the limit") {
    needs_second = true;
    member.queue(std::vector<std::byte>(frame_limit + 1));
  }
  std::thread sender([&] {
    // The server may close before it has read everything.
    error_of([&] { send_queued(member, server->address(), soon()); });
  });
  REQUIRE_THAT(lines.find("dropped a connection"), Contains(needs_second ? "limit" : "not of this protocol"));
  sender.join();
  REQUIRE(error_of([&] { receive_message(member, server->address(), soon()); }).code == ErrorCode::peer_lost);
  if (service == Hello::Service::control) {
    REQUIRE(ear.heard().member == 1);
  } else {
    REQUIRE_FALSE(server->verdict());
  }
}

TEST_CASE("Nobody answers for another rank") {
  Server::Options options = options_for(3);
  options.collection = std::chrono::milliseconds(300);
  auto server = Server::start(options);
  Ear ear(waiting(4, {2}));
  auto channel = connect_control(rank_of(server->address(), 0), ear, soon());
  FramedSocket liar = dial(rank_of(server->address(), 1), Hello::Service::control, soon());
  Ear honest(idle(3));
  auto second = connect_control(rank_of(server->address(), 2), honest, soon());
  channel->report(failure(ErrorCode::timeout, 4, 2));
  REQUIRE(std::holds_alternative<Query>(receive_message(liar, server->address(), soon())));
  Status status = waiting(4, {1});
  status.rank = 2;
  liar.queue(encode(ClientMessage(Answer{status})));
  send_queued(liar, server->address(), soon());
  ServerMessage message = receive_message(liar, server->address(), soon());
  REQUIRE(std::holds_alternative<Verdict>(message));
  REQUIRE(ear.heard().message == std::get<Verdict>(message).cause.message);
  REQUIRE(ear.heard().member == 2);
}

TEST_CASE("Silent connections keep nobody out, however many") {
  auto server = Server::start(options_for(1));
  std::vector<net::Socket> silent;
  for (int i = GENERATE(3, 80); i > 0; --i) silent.push_back(net::connect_tcp(server->address(), soon()));
  // Less than the time that a handshake may take.
  auto store = connect_store(rank_of(server->address(), 0), Deadline::after(std::chrono::seconds(8)));
  store->set("key", "value");
  REQUIRE(store->get("key", soon()) == "value");
}

TEST_CASE("A client that asks for much and reads nothing keeps nobody waiting") {
  auto server = Server::start(options_for(2));
  auto store = connect_store(rank_of(server->address(), 0), soon());
  std::string big(1u << 20, 'x');
  store->set("big", big);
  FramedSocket greedy = dial(rank_of(server->address(), 1), Hello::Service::store, soon());
  constexpr std::uint64_t requests = 10;
  int little = 1 << 16;
  REQUIRE(::setsockopt(greedy.descriptor(), SOL_SOCKET, SO_RCVBUF, &little, sizeof little) == 0);
  for (std::uint64_t id = 1; id <= requests; ++id) greedy.queue(encode(ClientMessage(GetRequest{id, "big"})));
  send_queued(greedy, server->address(), soon());
  for (int i = 0; i < 50; ++i) store->add("n", 1);
  // And once it reads, it gets all it asked for.
  for (std::uint64_t id = 1; id <= requests; ++id) {
    ServerMessage message = receive_message(greedy, server->address(), soon());
    REQUIRE(std::holds_alternative<ValueReply>(message));
    REQUIRE(std::get<ValueReply>(message).id == id);
    REQUIRE(std::get<ValueReply>(message).value.size() == big.size());
  }
}

TEST_CASE("Who waits for a key of a world that has failed hears why") {
  auto server = Server::start(options_for(3));
  auto store = connect_store(rank_of(server->address(), 0), soon());
  store->set("present", "value");
  Error error;
  std::thread waiter([&] { error = error_of([&] { store->get("card of rank 2", soon()); }); });
  server->process_ended(2, "exited with code 127");
  waiter.join();
  REQUIRE(error.code == ErrorCode::peer_lost);
  REQUIRE(error.message == "rank 2 died before it joined: exited with code 127");
  REQUIRE(error_of([&] { store->get("another", soon()); }).code == ErrorCode::peer_lost);
  REQUIRE(store->get("present", soon()) == "value");
}

TEST_CASE("Where nobody listens, connecting ends at the deadline and names the address") {
  net::Address address;
  {
    net::Socket listener = net::listen_tcp({"127.0.0.1", 0});
    address = net::local_address(listener);
  }
  Ear ear;
  for (const Error& error :
       {error_of([&] { connect_store(rank_of(address, 0), Deadline::after(std::chrono::milliseconds(50))); }),
        error_of([&] { connect_control(rank_of(address, 0), ear, Deadline::after(std::chrono::milliseconds(50))); })}) {
    REQUIRE(error.code == ErrorCode::timeout);
    REQUIRE_THAT(error.message, Contains(address.to_string()));
  }
}

TEST_CASE("A listener that never answers does not keep a client past its deadline") {
  net::Socket mute = net::listen_tcp({"127.0.0.1", 0});
  net::Address address = net::local_address(mute);
  Error error = error_of([&] { connect_store(rank_of(address, 0), Deadline::after(std::chrono::milliseconds(50))); });
  REQUIRE(error.code == ErrorCode::timeout);
  REQUIRE_THAT(error.message, Contains(address.to_string()));
}

TEST_CASE("A port that is taken is refused by name") {
  auto server = Server::start(options_for(1));
  Server::Options options = options_for(1);
  options.bind = server->address();
  REQUIRE(error_of([&] { Server::start(options); }).code == ErrorCode::invalid_argument);
}
