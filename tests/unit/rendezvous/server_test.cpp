// SPDX-License-Identifier: Apache-2.0
#include "ear.hpp"
#include "rendezvous/dial.hpp"
#include "rendezvous/sparing_log.hpp"
#include "support/failures.hpp"
#include "support/reserved_port.hpp"
#include "trireme/base/error.hpp"
#include "trireme/net/handshake.hpp"

#include <catch2/catch.hpp>

#include <thread>

#include <sys/socket.h>

using namespace trireme;
using namespace trireme::rendezvous;
using namespace trireme::rendezvous::testing;
using Catch::Matchers::Contains;

using trireme::testing::error_of;

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
  SECTION("with a second greeting") { member.queue(encode(ClientMessage(Hello{service, "host", 0}))); }
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
    error_of([&] { send_queued(member, rank_of(server->address(), 1), soon()); });
  });
  REQUIRE_THAT(lines.find("dropped a connection"), Contains(needs_second ? "limit" : "not of this protocol"));
  sender.join();
  REQUIRE(error_of([&] { receive_message(member, rank_of(server->address(), 1), soon()); }).code ==
          ErrorCode::peer_lost);
  if (service == Hello::Service::control) {
    REQUIRE(ear.heard().member == 1);
  } else {
    REQUIRE_FALSE(server->verdict());
  }
}

TEST_CASE("Nobody answers for another rank") {
  Server::Options options = options_for(3);
  options.collection = std::chrono::milliseconds(1000);
  auto server = Server::start(options);
  Ear ear(waiting(4, {2}));
  auto channel = connect_control(rank_of(server->address(), 0), ear, soon());
  FramedSocket liar = dial(rank_of(server->address(), 1), Hello::Service::control, soon());
  Ear honest(idle(3));
  auto second = connect_control(rank_of(server->address(), 2), honest, soon());
  channel->report(failure(ErrorCode::timeout, 4, 2));
  REQUIRE(std::holds_alternative<Query>(receive_message(liar, rank_of(server->address(), 1), soon())));
  Status status = waiting(4, {1});
  status.rank = 2;
  liar.queue(encode(ClientMessage(Answer{status})));
  send_queued(liar, rank_of(server->address(), 1), soon());
  ServerMessage message = receive_message(liar, rank_of(server->address(), 1), soon());
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
  send_queued(greedy, rank_of(server->address(), 1), soon());
  for (int i = 0; i < 50; ++i) store->add("n", 1);
  // And once it reads, it gets all it asked for.
  for (std::uint64_t id = 1; id <= requests; ++id) {
    ServerMessage message = receive_message(greedy, rank_of(server->address(), 1), soon());
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
  REQUIRE(error.message == "rank 2 ended before it joined: exited with code 127");
  REQUIRE(error_of([&] { store->get("another", soon()); }).code == ErrorCode::peer_lost);
  REQUIRE(store->get("present", soon()) == "value");
}

TEST_CASE("Where nobody listens, connecting ends at the deadline and names the address") {
  const trireme::testing::ReservedPort reserved;
  const net::Address& address = reserved.address;
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

TEST_CASE("A server that stops without a failure lets its ranks go on without it") {
  Server::Options options = options_for(3);
  options.linger = std::chrono::milliseconds(20);
  auto server = Server::start(options);
  Ear first, second;
  auto leaver = connect_control(rank_of(server->address(), 0), first, soon());
  auto stayer = connect_control(rank_of(server->address(), 1), second, soon());
  leaver->leave();
  server.reset();
  stayer->report(failure(ErrorCode::timeout, 4, 2));
  stayer->leave();
  REQUIRE(first.times() == 0);
  REQUIRE(second.times() == 0);
}

TEST_CASE("A server that stops waits for ranks that are about to leave, and hears of those that fail") {
  Server::Options options = options_for(2);
  options.linger = std::chrono::seconds(20);
  auto server = Server::start(options);
  Ear first, second;
  auto failing = connect_control(rank_of(server->address(), 0), first, soon());
  auto stayer = connect_control(rank_of(server->address(), 1), second, soon());
  std::thread stop([&] { server.reset(); });
  failing->abandon();
  failing.reset();
  const Cause heard = second.heard();
  stayer->leave();
  stop.join();
  REQUIRE(heard.member == 0);
}

TEST_CASE("A rank that ended well without joining is named to those who came, whoever was first") {
  const bool ends_first = GENERATE(true, false);
  auto server = Server::start(options_for(3));
  Ear ear;
  if (ends_first) server->process_succeeded(1);
  auto channel = connect_control(rank_of(server->address(), 0), ear, soon());
  if (!ends_first) server->process_succeeded(1);
  Cause verdict = ear.heard();
  REQUIRE(verdict.code == ErrorCode::peer_lost);
  REQUIRE(verdict.member == 1);
  REQUIRE(verdict.message == "rank 1 ended before it joined");
}

TEST_CASE("A rank that ended well without leaving is named as such, once its connection has ended") {
  Server::Options options = options_for(2);
  options.collection = std::chrono::milliseconds(1000);
  auto server = Server::start(options);
  Ear ear;
  auto stayer = connect_control(rank_of(server->address(), 0), ear, soon());
  const bool ends_first = GENERATE(true, false);
  {
    FramedSocket leaver = dial(rank_of(server->address(), 1), Hello::Service::control, soon());
    if (ends_first) server->process_succeeded(1);
  }
  if (!ends_first) server->process_succeeded(1);
  const Cause verdict = ear.heard();
  REQUIRE(verdict.code == ErrorCode::peer_lost);
  REQUIRE(verdict.member == 1);
  REQUIRE_THAT(verdict.message, Contains(") exited with code 0 without closing its world"));
  stayer->leave();
  server->settle();
  REQUIRE(server->left_open(1));
  REQUIRE_FALSE(server->left_open(0));
}

TEST_CASE("A rank that was told another world size is refused, and those who wait for it hear why") {
  Server::Options options = options_for(3);
  options.serving_rank = GENERATE(-1, 0);
  auto server = Server::start(options);
  Ear ear;
  auto channel = connect_control(rank_of(server->address(), 0), ear, soon());
  ServerAddress other = rank_of(server->address(), 1);
  other.world_size = 2;
  const Error error = error_of([&] { connect_store(other, soon()); });
  REQUIRE(error.code == ErrorCode::mismatch);
  REQUIRE_THAT(error.message, Contains("rank 1 was started with WORLD_SIZE 2, " +
                                       std::string(options.serving_rank == 0 ? "rank 0" : "the launcher") + " with 3"));
  const Cause verdict = ear.heard();
  REQUIRE(verdict.code == ErrorCode::mismatch);
  REQUIRE(verdict.member == 1);
  REQUIRE(verdict.message == error.message);
}

TEST_CASE("A world in which all are is not disturbed by one that was told another size") {
  auto server = Server::start(options_for(1));
  Ear ear;
  auto channel = connect_control(rank_of(server->address(), 0), ear, soon());
  ServerAddress stranger = rank_of(server->address(), 1);
  stranger.world_size = 2;
  REQUIRE(error_of([&] { connect_store(stranger, soon()); }).code == ErrorCode::mismatch);
  channel->leave();
  server->settle();
  REQUIRE_FALSE(server->verdict());
}

TEST_CASE("A rank that ended well after it had left is missed by nobody") {
  auto server = Server::start(options_for(2));
  Ear ear, other;
  auto stayer = connect_control(rank_of(server->address(), 0), ear, soon());
  connect_control(rank_of(server->address(), 1), other, soon())->leave();
  server->process_succeeded(1);
  auto store = connect_store(rank_of(server->address(), 0), soon());
  store->set("key", "value");  // a round trip: the news above has been dealt with
  REQUIRE_FALSE(server->verdict());
}

TEST_CASE("A rank that was interrupted is missed only where it has not left its world") {
  const bool leaves = GENERATE(true, false);
  auto server = Server::start(options_for(2));
  Ear ear, other;
  auto stayer = connect_control(rank_of(server->address(), 0), ear, soon());
  auto stopper = connect_control(rank_of(server->address(), 1), other, soon());
  server->process_interrupted(1, "exit code 143");  // seen before its goodbye is read
  if (leaves) {
    stopper->leave();
    stayer->leave();
    server->settle();
    REQUIRE_FALSE(server->verdict());
  } else {
    stopper->abandon();
    stopper.reset();
    const Cause verdict = ear.heard();
    REQUIRE(verdict.code == ErrorCode::peer_lost);
    REQUIRE(verdict.member == 1);
  }
}

TEST_CASE("Where a rank serves, its death is named with the operation that this rank saw it interrupt") {
  net::Socket listener = net::listen_tcp({"127.0.0.1", 0});
  const net::Address address = net::local_address(listener);
  const std::string known = GENERATE("from a broken link", "from where it waits", "not at all");
  CAPTURE(known);
  Ear ear(known == "from where it waits"
              ? Status{.operation = 7, .in_operation = true, .operation_name = "all_reduce #7 'bucket 0'"}
              : Status{});
  std::unique_ptr<ControlChannel> channel;
  ServerAddress server = rank_of(address, 1);
  server.serving_rank = 0;
  std::thread serving([&] {
    // Accepts, welcomes, and is gone.
    auto connection = net::accept(listener, soon());
    net::handshake_as_server(*connection, test_key(), net::make_identity("job-1", "rendezvous", "rendezvous", 0, -1),
                             soon());
    net::receive_message(*connection, 1u << 20, soon());
    FramedSocket socket(std::move(*connection));
    socket.queue(encode(ServerMessage(Welcome{})));
    send_queued(socket, server, soon());
  });
  channel = connect_control(server, ear, soon());
  if (known == "from a broken link") channel->report(failure(ErrorCode::peer_lost, 7, 0));
  serving.join();
  const Cause verdict = ear.heard();
  REQUIRE(verdict.code == ErrorCode::peer_lost);
  REQUIRE(verdict.member == 0);
  REQUIRE_THAT(verdict.message,
               Contains("rank 0, which served the rendezvous at " + address.to_string() + ", is gone"));
  REQUIRE(verdict.operation_name == (known == "not at all" ? "" : "all_reduce #7 'bucket 0'"));
}

TEST_CASE("A client says for whom it looks while nobody answers") {
  net::Address address;
  {
    net::Socket listener = net::listen_tcp({"127.0.0.1", 0});
    address = net::local_address(listener);
  }
  Lines lines;
  ServerAddress server = rank_of(address, 3);
  server.serving_rank = 0;
  server.log = lines.log();
  server.first_reminder = std::chrono::milliseconds(20);
  error_of([&] { connect_store(server, Deadline::after(std::chrono::milliseconds(200))); });
  REQUIRE_THAT(lines.find("rank 3 looks for rank 0"), Contains(address.to_string()));
}

TEST_CASE("Strangers by the hundred cost a few lines and a number") {
  std::vector<std::string> lines;
  const Log log(LogLevel::warning, [&](LogLevel, std::string_view line) { lines.emplace_back(line); });
  {
    SparingLog sparing(log, "more connections were dropped");
    const auto start = SparingLog::Clock::now();
    for (int i = 0; i < 300; ++i) sparing.warn("dropped a connection", start);
    REQUIRE(lines.size() == SparingLog::lines_per_window);
    sparing.warn("dropped another", start + SparingLog::window);
    REQUIRE(lines[lines.size() - 2] == "295 more connections were dropped");
    REQUIRE(lines.back() == "dropped another");
    for (int i = 0; i < 10; ++i) sparing.warn("dropped a connection", start + SparingLog::window);
  }
  REQUIRE(lines.back() == "6 more connections were dropped");
}
