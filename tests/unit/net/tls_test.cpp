// SPDX-License-Identifier: Apache-2.0
// A connection through TLS: what is sent arrives, whatever the sizes; who does not hold the secret is refused.
#include "net/tls.hpp"

#include "pair.hpp"
#include "trireme/net/connection.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <functional>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

using namespace trireme;
using namespace trireme::net;
using namespace trireme::net::testing;

namespace {

SessionSecret secret_of(unsigned char first) {
  SessionSecret secret{};
  secret[0] = static_cast<std::byte>(first);
  return secret;
}

/// Both ends at once; the error of each, none where there was none.
std::pair<std::optional<Error>, std::optional<Error>> both(const std::function<void()>& left,
                                                           const std::function<void()>& right) {
  std::optional<Error> errors[2];
  const auto run = [](const std::function<void()>& body, std::optional<Error>& error) {
    try {
      body();
    } catch (const Exception& caught) {
      error = caught.error();
    }
  };
  std::thread other([&] { run(left, errors[0]); });
  run(right, errors[1]);
  other.join();
  return {errors[0], errors[1]};
}

struct Ends {
  Connection client, server;
};

Ends secured(Pair pair) {
  Ends ends{Connection(std::move(pair.left)), Connection(std::move(pair.right))};
  const auto errors = both([&] { ends.client.secure_as_client(secret_of(1), soon()); },
                           [&] { ends.server.secure_as_server(secret_of(1), soon()); });
  REQUIRE_FALSE(errors.first.has_value());
  REQUIRE_FALSE(errors.second.has_value());
  return ends;
}

std::vector<std::byte> noise(std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<std::byte> bytes(count);
  for (std::byte& each : bytes) each = static_cast<std::byte>(random());
  return bytes;
}

}  // namespace

TEST_CASE("Through TLS bytes arrive as they were sent, in pieces of any size, both ways at once") {
  const bool by_tcp = GENERATE(false, true);
  Pair pair = by_tcp ? make_tcp_pair("127.0.0.1") : make_pair();
  if (!by_tcp) {  // writes stop in the midst of records
    set_buffers(pair.left, 8192);
    set_buffers(pair.right, 8192);
  }
  Ends ends = secured(std::move(pair));
  const auto there = noise(3'000'000, 1), back = noise(2'000'000, 2);
  std::vector<std::byte> got_there(there.size()), got_back(back.size());
  // One thread drives both ends, as event loops do: what is not possible now is tried again.
  std::mt19937 random(3);
  struct Stream {
    Connection& from;
    Connection& to;
    const std::vector<std::byte>& sent;
    std::vector<std::byte>& received;
    std::size_t out = 0, in = 0;
  };
  Stream streams[]{{ends.client, ends.server, there, got_there}, {ends.server, ends.client, back, got_back}};
  const Deadline limit = soon();
  while (streams[0].in < there.size() || streams[1].in < back.size()) {
    REQUIRE_FALSE(limit.passed());
    for (Stream& stream : streams) {
      if (stream.out < stream.sent.size()) {
        // In two pieces, as a head and a payload.
        const std::size_t left = stream.sent.size() - stream.out, first = std::min<std::size_t>(left, random() % 40),
                          second = left - first;
        auto* const at = const_cast<std::byte*>(stream.sent.data() + stream.out);
        const iovec pieces[]{{at, first}, {at + first, second}};
        const auto moved = stream.from.send(pieces);
        REQUIRE_FALSE(moved.is_over);
        stream.out += moved.bytes;
      }
      const std::size_t left = stream.received.size() - stream.in,
                        first = std::min<std::size_t>(left, 1 + random() % 7),
                        second = std::min<std::size_t>(left - first, random() % 50'000);
      if (left == 0) continue;
      const iovec pieces[]{{stream.received.data() + stream.in, first},
                           {stream.received.data() + stream.in + first, second}};
      const auto moved = stream.to.receive(pieces);
      REQUIRE_FALSE(moved.is_over);
      stream.in += moved.bytes;
    }
  }
  CHECK((got_there == there));
  CHECK((got_back == back));
}

TEST_CASE("After so many records as a key is good for another one is taken, and nothing is lost") {
  Pair pair = make_pair();
  set_buffers(pair.left, 8192);
  set_buffers(pair.right, 8192);
  std::optional<Tls> left, right;
  const auto errors = both([&] { left.emplace(pair.left, Tls::Side::client, secret_of(1), soon(), 3); },
                           [&] { right.emplace(pair.right, Tls::Side::server, secret_of(1), soon(), 5); });
  REQUIRE_FALSE(errors.first.has_value());
  REQUIRE_FALSE(errors.second.has_value());
  const auto there = noise(1'500'000, 1), back = noise(1'500'000, 2);
  std::vector<std::byte> got_there(there.size()), got_back(back.size());
  struct Stream {
    Tls& from;
    Tls& to;
    const std::vector<std::byte>& sent;
    std::vector<std::byte>& received;
    std::size_t out = 0, in = 0;
  };
  Stream streams[]{{*left, *right, there, got_there}, {*right, *left, back, got_back}};
  const Deadline limit = soon();
  while (streams[0].in < there.size() || streams[1].in < back.size()) {
    REQUIRE_FALSE(limit.passed());
    for (Stream& stream : streams) {
      if (stream.out < stream.sent.size()) {
        const iovec piece{const_cast<std::byte*>(stream.sent.data() + stream.out), stream.sent.size() - stream.out};
        const auto moved = stream.from.send(std::span(&piece, 1));
        REQUIRE_FALSE(moved.is_over);
        stream.out += moved.bytes;
      }
      if (stream.in == stream.received.size()) continue;
      const auto moved = stream.to.receive(std::span(stream.received).subspan(stream.in));
      REQUIRE_FALSE(moved.is_over);
      stream.in += moved.bytes;
    }
  }
  CHECK((got_there == there));
  CHECK((got_back == back));
  // 92 records each: a key takes more of them where the socket was full when it was due.
  CHECK((left->keys_used() > 10 && left->keys_used() <= 31));
  CHECK((right->keys_used() > 6 && right->keys_used() <= 19));
}

TEST_CASE("Who does not hold the secret, or does not speak TLS, is refused on both sides") {
  for (const bool by_tcp : {false, true}) {
    Pair pair = by_tcp ? make_tcp_pair("127.0.0.1") : make_pair();
    Connection client(std::move(pair.left)), server(std::move(pair.right));
    const auto errors = both(
        [&] {
          try {
            client.secure_as_client(secret_of(1), soon());
          } catch (...) {
            client.close();
            throw;
          }
        },
        [&] {
          try {
            server.secure_as_server(secret_of(2), soon());
          } catch (...) {
            server.close();
            throw;
          }
        });
    REQUIRE(errors.first.has_value());
    REQUIRE(errors.second.has_value());
    CHECK(errors.second->code == ErrorCode::corrupt);
    CHECK(errors.second->message.find("cannot be begun") != std::string::npos);
  }
  Pair pair = make_pair();
  Connection server(std::move(pair.right));
  send_all(pair.left, bytes_of("GET / HTTP/1.0\r\n\r\n"), soon());
  const auto errors = both([] {}, [&] { server.secure_as_server(secret_of(1), soon()); });
  REQUIRE(errors.second.has_value());
  CHECK(errors.second->code == ErrorCode::corrupt);
}

TEST_CASE("Whoever waits for TLS in vain gives up at the deadline; an end and a change on the way are told apart") {
  {
    Pair pair = make_pair();
    Connection server(std::move(pair.right));
    const auto errors = both([] {}, [&] { server.secure_as_server(secret_of(1), shortly()); });
    REQUIRE(errors.second.has_value());
    CHECK(errors.second->code == ErrorCode::timeout);
  }
  std::byte buffer[16];
  const iovec piece{buffer, sizeof buffer};
  {
    Ends ends = secured(make_pair());
    CHECK(ends.server.receive({&piece, 1}).bytes == 0);
    CHECK_FALSE(ends.server.receive({&piece, 1}).is_over);
    send_all(ends.client, bytes_of("the end"), soon());
    ends.client.close();
    CHECK(ends.server.receive({&piece, 1}).bytes == 7);
    CHECK(ends.server.receive({&piece, 1}).is_over);
    CHECK(ends.server.receive({&piece, 1}).error == 0);
  }
  {
    Ends ends = secured(make_pair());
    // A record of application data that nobody who holds the keys has made.
    const unsigned char forged[]{0x17, 0x03, 0x03, 0x00, 0x14, 1,  2,  3,  4,  5,  6,  7, 8,
                                 9,    10,   11,   12,   13,   14, 15, 16, 17, 18, 19, 20};
    send_all(ends.client.socket(), std::as_bytes(std::span(forged)), soon());
    const auto moved = ends.server.receive({&piece, 1});
    CHECK(moved.is_over);
    CHECK(moved.error == EBADMSG);
  }
}
