// SPDX-License-Identifier: Apache-2.0
// What every transport owes the endpoint, and the endpoint its callers. One body for all transports.
#include "support/endpoints.hpp"
#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <cstring>
#include <numeric>
#include <random>

using namespace trireme;
using transport::LinkState;
using transport::MessageKey;
using transport::ReceiveRequest;
using transport::RequestState;
using transport::SendRequest;
using transport::Stamp;

namespace {

constexpr Stamp stamp{{1, 2, 3}};

std::vector<std::byte> pattern(std::size_t bytes, unsigned seed) {
  std::vector<std::byte> data(bytes);
  std::mt19937 random(seed);
  for (auto& byte : data) byte = static_cast<std::byte>(random());
  return data;
}

SendRequest make_send(int peer, MessageKey key, std::span<const std::byte> data, Stamp with = stamp) {
  SendRequest request;
  request.peer = peer;
  request.key = key;
  request.stamp = with;
  request.data = data.data();
  request.bytes = data.size();
  return request;
}

ReceiveRequest make_receive(int peer, MessageKey key, std::span<std::byte> data, Stamp with = stamp) {
  ReceiveRequest request;
  request.peer = peer;
  request.key = key;
  request.stamp = with;
  request.destination = data.data();
  request.bytes = data.size();
  return request;
}

}  // namespace

TEST_CASE("a message of any size arrives whole, posted before or after it comes") {
  const auto transport = GENERATE(as<std::string>{}, "mem", "shm", "tcp", "tcp3");
  const std::size_t bytes = GENERATE(0u, 1u, 63u, 64u, 8191u, 8192u, 8193u, 262143u, 262145u, 3000001u);
  const bool post_first = GENERATE(true, false);
  CAPTURE(transport, bytes, post_first);
  testing::Endpoints ranks(transport, 2);
  const auto source = pattern(bytes, 7);
  std::vector<std::byte> target(bytes);
  auto send = make_send(1, {5, 0, 9}, source);
  auto receive = make_receive(0, {5, 0, 9}, target);
  if (post_first) ranks[1].receive(receive);
  ranks[0].send(send);
  if (!post_first) {
    for (int i = 0; i < 200; ++i) {
      ranks[0].progress();
      ranks[1].progress();
    }
    ranks[1].receive(receive);
  }
  REQUIRE(ranks.drive([&] { return send.state == RequestState::done && receive.state == RequestState::done; }));
  REQUIRE(target == source);
  REQUIRE(ranks[0].payload_bytes_sent() == bytes);
  REQUIRE(ranks[1].payload_bytes_received() == bytes);
}

TEST_CASE("arena memory is read in place and stays lent until it is given back") {
  const auto transport = GENERATE(as<std::string>{}, "mem", "shm");
  testing::Endpoints ranks(transport, 2);
  const std::size_t bytes = 100000;
  auto lent = ranks.arena(0).allocate(bytes);
  const auto source = pattern(bytes, 3);
  std::memcpy(lent.data(), source.data(), bytes);
  auto send = make_send(1, {1, 0, 1}, lent);
  auto receive = make_receive(0, {1, 0, 1}, {});
  receive.bytes = bytes;
  receive.may_borrow = true;
  ranks[1].receive(receive);
  ranks[0].send(send);
  REQUIRE(ranks.drive([&] { return receive.state == RequestState::done; }));
  REQUIRE(receive.borrowed != nullptr);
  REQUIRE(std::memcmp(receive.borrowed, source.data(), bytes) == 0);
  for (int i = 0; i < 100; ++i) ranks[0].progress();
  REQUIRE(send.state == RequestState::pending);
  ranks[1].give_back(receive);
  REQUIRE(ranks.drive([&] { return send.state == RequestState::done; }));
}

TEST_CASE("many messages of several communicators and peers meet by key, whatever their order") {
  const auto transport = GENERATE(as<std::string>{}, "mem", "shm", "tcp", "tcp3");
  CAPTURE(transport);
  constexpr int ranks_count = 3;
  testing::Endpoints ranks(transport, ranks_count);
  std::mt19937 random(11);
  struct Message {
    int from, to;
    MessageKey key;
    std::vector<std::byte> source, target;
    SendRequest send;
    ReceiveRequest receive;
  };
  std::vector<std::unique_ptr<Message>> messages;
  for (int from = 0; from < ranks_count; ++from) {
    for (int to = 0; to < ranks_count; ++to) {
      if (from == to) continue;
      for (std::uint32_t i = 0; i < 40; ++i) {
        auto message = std::make_unique<Message>();
        const std::size_t bytes = random() % 3 == 0 ? 20000 + random() % 50000 : random() % 3000;
        *message = {
            from, to, {i % 3, i, i / 4}, pattern(bytes, static_cast<unsigned>(random())), std::vector<std::byte>(bytes),
            {},   {}};
        message->send = make_send(to, message->key, message->source);
        message->receive = make_receive(from, message->key, message->target);
        messages.push_back(std::move(message));
      }
    }
  }
  std::vector<std::size_t> sends(messages.size()), receives(messages.size());
  std::iota(sends.begin(), sends.end(), 0u);
  std::iota(receives.begin(), receives.end(), 0u);
  std::shuffle(sends.begin(), sends.end(), random);
  std::shuffle(receives.begin(), receives.end(), random);
  for (std::size_t i = 0; i < messages.size(); ++i) {
    ranks[messages[sends[i]]->from].send(messages[sends[i]]->send);
    ranks[messages[receives[i]]->to].receive(messages[receives[i]]->receive);
    if (random() % 4 == 0) {
      for (int rank = 0; rank < ranks_count; ++rank) ranks[rank].progress();
    }
  }
  REQUIRE(ranks.drive([&] {
    return std::all_of(messages.begin(), messages.end(), [](const auto& m) {
      return m->send.state == RequestState::done && m->receive.state == RequestState::done;
    });
  }));
  for (const auto& message : messages) REQUIRE(message->target == message->source);
}

TEST_CASE("a large message to one that is not ready does not hold up a small one behind it") {
  const auto transport = GENERATE(as<std::string>{}, "mem", "shm", "tcp", "tcp3");
  testing::Endpoints ranks(transport, 2);
  const auto large = pattern(4 << 20, 1);
  const auto small = pattern(100, 2);
  std::vector<std::byte> large_target(large.size()), small_target(small.size());
  auto send_large = make_send(1, {1, 0, 0}, large);
  auto send_small = make_send(1, {2, 0, 0}, small);
  auto receive_small = make_receive(0, {2, 0, 0}, small_target);
  ranks[0].send(send_large);
  ranks[0].send(send_small);
  ranks[1].receive(receive_small);
  REQUIRE(ranks.drive([&] { return receive_small.state == RequestState::done; }));
  REQUIRE(small_target == small);
  auto receive_large = make_receive(0, {1, 0, 0}, large_target);
  ranks[1].receive(receive_large);
  REQUIRE(
      ranks.drive([&] { return receive_large.state == RequestState::done && send_large.state == RequestState::done; }));
  REQUIRE(large_target == large);
}

TEST_CASE("a message of another stamp or size fails its receive before memory is written") {
  const auto transport = GENERATE(as<std::string>{}, "mem", "shm", "tcp", "tcp3");
  const std::size_t sent_bytes = GENERATE(100u, 50000u);
  const bool post_first = GENERATE(true, false);
  const bool other_size = GENERATE(true, false);
  testing::Endpoints ranks(transport, 2);
  const auto source = pattern(sent_bytes, 5);
  std::vector<std::byte> target(other_size ? sent_bytes / 2 : sent_bytes, std::byte{0});
  const Stamp other{{9, 9, 9}};
  auto send = make_send(1, {1, 0, 0}, source, other_size ? stamp : other);
  auto receive = make_receive(0, {1, 0, 0}, target);
  if (post_first) ranks[1].receive(receive);
  ranks[0].send(send);
  for (int i = 0; i < 2000 && !(post_first && receive.state != RequestState::pending); ++i) {
    ranks[0].progress();
    ranks[1].progress();
  }
  if (!post_first) ranks[1].receive(receive);
  REQUIRE(ranks.drive([&] { return receive.state == RequestState::failed; }));
  REQUIRE(ranks.heard(1).mismatches.size() == 1);
  REQUIRE(ranks.heard(1).mismatches[0].peer == 0);
  REQUIRE(std::all_of(target.begin(), target.end(), [](std::byte b) { return b == std::byte{0}; }));
}

TEST_CASE("a note reaches the peer with its stamp and counts no payload") {
  const auto transport = GENERATE(as<std::string>{}, "mem", "shm", "tcp", "tcp3");
  testing::Endpoints ranks(transport, 2);
  ranks[0].send_note(1, 1, {1, 0, 4}, stamp);
  REQUIRE(ranks.drive([&] { return !ranks.heard(1).notes.empty(); }));
  REQUIRE(ranks.heard(1).notes[0].second == stamp);
  REQUIRE(ranks[0].payload_bytes_sent() == 0);
}

TEST_CASE("the end of a peer fails what waits for it and tells whether it was in good order") {
  const auto transport = GENERATE(as<std::string>{}, "mem", "shm", "tcp", "tcp3");
  const bool orderly = GENERATE(true, false);
  CAPTURE(transport, orderly);
  testing::Endpoints ranks(transport, 3);
  std::vector<std::byte> target(10);
  auto receive = make_receive(2, {1, 0, 0}, target);
  ranks[0].receive(receive);
  if (orderly) {
    ranks[2].close(Deadline::after(std::chrono::milliseconds(50)));
  } else {
    ranks.crash(2);
  }
  REQUIRE(ranks.drive([&] { return receive.state == RequestState::failed; }));
  REQUIRE(ranks.heard(0).ended.size() == 1);
  REQUIRE(ranks.heard(0).ended[0].first == 2);
  REQUIRE(ranks.heard(0).ended[0].second == (orderly ? LinkState::closed : LinkState::lost));
  // The others go on.
  const auto source = pattern(1000, 1);
  std::vector<std::byte> other(1000);
  auto send = make_send(1, {1, 0, 1}, source);
  auto from = make_receive(0, {1, 0, 1}, other);
  ranks[0].send(send);
  ranks[1].receive(from);
  REQUIRE(ranks.drive([&] { return from.state == RequestState::done; }));
}

TEST_CASE("what was written before a good end is still read") {
  const auto transport = GENERATE(as<std::string>{}, "mem", "shm", "tcp", "tcp3");
  testing::Endpoints ranks(transport, 2);
  const auto source = pattern(5000, 1);
  std::vector<std::byte> target(5000);
  auto send = make_send(1, {1, 0, 0}, source);
  ranks[0].send(send);
  ranks[0].close(Deadline::after(std::chrono::milliseconds(50)));
  auto receive = make_receive(0, {1, 0, 0}, target);
  ranks[1].receive(receive);
  REQUIRE(ranks.drive([&] { return receive.state != RequestState::pending; }));
  REQUIRE(receive.state == RequestState::done);
  REQUIRE(target == source);
}

TEST_CASE("a sleeping endpoint wakes when bytes come and when another thread says so") {
  const auto transport = GENERATE(as<std::string>{}, "mem", "shm", "tcp", "tcp3");
  testing::Endpoints ranks(transport, 2);
  std::vector<std::byte> target(16);
  auto receive = make_receive(0, {1, 0, 0}, target);
  ranks[1].receive(receive);
  const auto source = pattern(16, 1);
  auto send = make_send(1, {1, 0, 0}, source);
  std::thread sleeper([&] {
    const Deadline deadline = Deadline::after(std::chrono::seconds(10));
    while (receive.state == RequestState::pending && !deadline.passed()) {
      if (!ranks[1].progress()) ranks[1].sleep(deadline);
    }
  });
  ranks[0].send(send);
  sleeper.join();
  REQUIRE(receive.state == RequestState::done);
  ranks[1].wake();
  ranks[1].sleep(Deadline::after(std::chrono::seconds(10)));  // returns at once, or this test takes long
}

TEST_CASE("a rank with another job key is refused and disturbs nobody") {
  const auto transport_name = GENERATE(as<std::string>{}, "shm", "tcp");
  const auto membership = [](int rank, const net::JobKey& key) {
    return transport::Membership{.job_id = "test",
                                 .epoch = 0,
                                 .rank = rank,
                                 .world_size = 2,
                                 .key = key,
                                 .arena = std::make_shared<transport::Arena>(Bytes{1u << 20}),
                                 .doorbell = std::make_shared<transport::Doorbell>()};
  };
  const auto make = [&](const transport::Membership& self) {
    return transport_name == "shm" ? transport::make_shm_transport(self) : transport::make_tcp_transport(self, {});
  };
  const auto good = net::JobKey::random();
  auto zero = make(membership(0, good));
  auto stranger = make(membership(1, net::JobKey::random()));
  auto one = make(membership(1, good));
  const Deadline deadline = Deadline::after(std::chrono::seconds(10));
  std::string refusal;
  std::string ignored;
  std::unique_ptr<transport::Link> link;
  std::thread accepting([&] {
    link = zero->accept(deadline, refusal).second;
    if (!link) link = zero->accept(deadline, ignored).second;
  });
  std::string why;
  try {
    stranger->connect(0, zero->card(), deadline);
  } catch (const Exception& error) {
    why = error.error().message;
  }
  auto connected = one->connect(0, zero->card(), deadline);
  accepting.join();
  REQUIRE(why.find("job key") != std::string::npos);
  REQUIRE(refusal.find("job key") != std::string::npos);
  REQUIRE(link != nullptr);
  REQUIRE(connected != nullptr);
}
