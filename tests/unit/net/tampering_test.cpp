// SPDX-License-Identifier: Apache-2.0
#include "handshake_pair.hpp"
#include "net/handshake_messages.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <thread>

#include <poll.h>

using namespace trireme;
using namespace trireme::net;
using namespace trireme::testing;
using namespace trireme::net::testing;

namespace {

enum class Direction { to_server, to_client };
enum class Harm { cut, flip };

struct Tampering {
  Direction direction;
  std::size_t index;
  Harm harm;
};

/// Passes bytes on between two sockets until both sides are done; does its harm at one byte of one direction.
void relay(Socket client, Socket server, const Tampering& tampering) {
  std::array<const Socket*, 2> from = {&client, &server};
  std::array<const Socket*, 2> to = {&server, &client};
  std::array<std::size_t, 2> passed = {0, 0};
  std::array<bool, 2> ended = {false, false};
  std::vector<std::byte> buffer(4096);
  while (!ended[0] || !ended[1]) {
    std::array<pollfd, 2> entries;
    for (std::size_t i = 0; i < 2; ++i) entries[i] = {ended[i] ? -1 : from[i]->descriptor(), POLLIN, 0};
    if (::poll(entries.data(), entries.size(), 30000) <= 0) return;  // the closed ends make both sides fail
    for (std::size_t i = 0; i < 2; ++i) {
      if (entries[i].revents == 0) continue;
      ssize_t count = ::recv(from[i]->descriptor(), buffer.data(), buffer.size(), 0);
      if (count <= 0) {
        ended[i] = true;
        ::shutdown(to[i]->descriptor(), SHUT_WR);
        continue;
      }
      auto bytes = std::span(buffer).first(static_cast<std::size_t>(count));
      bool hit = i == static_cast<std::size_t>(tampering.direction) && tampering.index >= passed[i] &&
                 tampering.index < passed[i] + bytes.size();
      std::size_t at = tampering.index - passed[i];
      if (hit && tampering.harm == Harm::flip) bytes[at] ^= static_cast<std::byte>(1u << (tampering.index % 8));
      if (hit && tampering.harm == Harm::cut) bytes = bytes.first(at);
      passed[i] += bytes.size();
      // The receiver may be done already; then nobody misses the bytes.
      (void)code_of([&] { send_all(*to[i], bytes, soon()); });
      if (hit && tampering.harm == Harm::cut) return;  // both connections end here
    }
  }
}

Outcome shake_hands_through(const Tampering& tampering, const JobKey& key, Deadline deadline) {
  Pair client_side = make_pair();
  Pair server_side = make_pair();
  std::thread between(
      [&, client_end = std::move(client_side.right), server_end = std::move(server_side.left)]() mutable {
        relay(std::move(client_end), std::move(server_end), tampering);
      });
  Outcome outcome =
      shake_hands({std::move(client_side.left), std::move(server_side.right)}, worker(key), store(key), deadline);
  between.join();
  return outcome;
}

struct Sizes {
  std::size_t introduction;
  std::size_t whole;
};

Sizes sizes_of(const Identity& identity) {
  std::size_t introduction = frame_header_bytes + nonce_bytes + encode_identity(identity).size();
  return {introduction, introduction + frame_header_bytes + proof_bytes};
}

}  // namespace

TEST_CASE("A handshake through an honest relay succeeds") {
  JobKey key = JobKey::random();
  Outcome outcome = shake_hands_through({Direction::to_server, 1000000, Harm::flip}, key, soon());
  CHECK_FALSE(outcome.client_error);
  CHECK_FALSE(outcome.server_error);
}

TEST_CASE("A handshake cut off at any byte succeeds for nobody who misses a byte") {
  JobKey key = JobKey::random();
  auto gone = [](ErrorCode code) { return code == ErrorCode::closed || code == ErrorCode::peer_lost; };
  std::size_t to_server = sizes_of(worker(key).identity).whole;
  for (std::size_t index = 0; index < to_server; ++index) {
    CAPTURE(index);
    Outcome outcome = shake_hands_through({Direction::to_server, index, Harm::cut}, key, soon());
    CHECK(gone(outcome.client_error.code));
    CHECK(gone(outcome.server_error.code));
  }
  Sizes to_client = sizes_of(store(key).identity);
  for (std::size_t index = 0; index < to_client.whole; ++index) {
    CAPTURE(index);
    Outcome outcome = shake_hands_through({Direction::to_client, index, Harm::cut}, key, soon());
    CHECK(gone(outcome.client_error.code));
    if (index < to_client.introduction) CHECK(gone(outcome.server_error.code));
  }
}

TEST_CASE("A bit flipped in any byte is noticed") {
  JobKey key = JobKey::random();
  auto noticed = [](ErrorCode code) {
    return code == ErrorCode::corrupt || code == ErrorCode::invalid_argument || code == ErrorCode::closed ||
           code == ErrorCode::peer_lost || code == ErrorCode::timeout;
  };
  // A longer length of an introduction leaves both sides waiting for each other: only the deadline ends that.
  auto deadline_for = [](std::size_t index) { return index >= 12 && index < 16 ? shortly() : soon(); };
  std::size_t to_server = sizes_of(worker(key).identity).whole;
  for (std::size_t index = 0; index < to_server; ++index) {
    CAPTURE(index);
    Outcome outcome = shake_hands_through({Direction::to_server, index, Harm::flip}, key, deadline_for(index));
    CHECK(noticed(outcome.client_error.code));
    CHECK(noticed(outcome.server_error.code));
  }
  Sizes to_client = sizes_of(store(key).identity);
  for (std::size_t index = 0; index < to_client.whole; ++index) {
    CAPTURE(index);
    Outcome outcome = shake_hands_through({Direction::to_client, index, Harm::flip}, key, deadline_for(index));
    CHECK(noticed(outcome.client_error.code));
    // The last frame tells the client only: the server has verified everything by then.
    CHECK(noticed(outcome.server_error.code) == (index < to_client.introduction));
  }
}
