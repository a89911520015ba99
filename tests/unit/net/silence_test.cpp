// SPDX-License-Identifier: Apache-2.0
#include "trireme/net/silence.hpp"

#include "pair.hpp"
#include "support/deaf_socket.hpp"

#include <catch2/catch.hpp>

#include <thread>
#include <vector>

using namespace trireme;
using namespace trireme::net;
using namespace trireme::testing;
using namespace trireme::net::testing;

namespace {

constexpr std::chrono::milliseconds limit{300};

/// Writes until nothing more fits: the other end's window is closed, or will be once everything has arrived.
void fill(const Socket& socket) {
  const std::vector<std::byte> much(std::size_t{1} << 20);
  while (::send(socket.descriptor(), much.data(), much.size(), MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
  }
}

bool falls_silent(const Socket& socket, Deadline until) {
  SilenceWatch watch(limit);
  while (!watch.is_silent(socket)) {
    if (until.passed()) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

}  // namespace

TEST_CASE("A peer that reads nothing is slow, not silent, long after the limit") {
  const Pair pair = make_tcp_pair("127.0.0.1");
  fill(pair.left);
  CHECK_FALSE(falls_silent(pair.left, Deadline::after(5 * limit)));
}

TEST_CASE("A connection with nothing under way is never silent") {
  const Pair pair = make_tcp_pair("127.0.0.1");
  CHECK_FALSE(falls_silent(pair.left, Deadline::after(2 * limit)));
}

TEST_CASE("A host that answers nothing is silent, with data under way and before a closed window") {
  const Pair pair = make_tcp_pair("127.0.0.1");
  const bool window_closed = GENERATE(false, true);
  CAPTURE(window_closed);
  if (window_closed) {
    fill(pair.left);
    REQUIRE_FALSE(falls_silent(pair.left, Deadline::after(limit)));
  }
  trireme::testing::make_deaf(pair.right.descriptor());
  static_cast<void>(::send(pair.left.descriptor(), "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL));
  CHECK(falls_silent(pair.left, soon()));
}

TEST_CASE("A host that fell silent while nobody looked is found at the first look") {
  const Pair pair = make_tcp_pair("127.0.0.1");
  trireme::testing::make_deaf(pair.right.descriptor());
  REQUIRE(::send(pair.left.descriptor(), "x", 1, MSG_NOSIGNAL) == 1);
  const Deadline until = soon();
  bool silent = false;
  while (!(silent = SilenceWatch(limit).is_silent(pair.left)) && !until.passed()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  CHECK(silent);
}
