// SPDX-License-Identifier: Apache-2.0
#include "pair.hpp"
#include "support/failures.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using namespace trireme::net;
using namespace trireme::testing;
using namespace trireme::net::testing;

TEST_CASE("A socket owns its descriptor and closes it once") {
  int before = open_descriptors();
  {
    Pair pair = make_pair();
    CHECK(open_descriptors() == before + 2);
    Socket moved = std::move(pair.left);
    CHECK(moved.is_open());
    CHECK_FALSE(pair.left.is_open());
    pair.right = std::move(moved);  // closes what it held
    CHECK(open_descriptors() == before + 1);
    Socket& same = pair.right;
    pair.right = std::move(same);
    CHECK(pair.right.is_open());
    int given_away = pair.right.release();
    CHECK_FALSE(pair.right.is_open());
    CHECK(open_descriptors() == before + 1);
    Socket(given_away).close();
  }
  CHECK(open_descriptors() == before);
}

TEST_CASE("Waiting tells readable from not, and writable from full") {
  Pair pair = make_pair();
  CHECK_FALSE(wait_readable(pair.left, shortly()));
  CHECK(wait_writable(pair.left, soon()));
  send_all(pair.right, bytes_of("x"), soon());
  CHECK(wait_readable(pair.left, soon()));
  std::vector<std::byte> much(std::size_t{8} << 20);
  CHECK(code_of([&] { send_all(pair.left, much, shortly()); }) == ErrorCode::timeout);
  CHECK_FALSE(wait_writable(pair.left, shortly()));
}

TEST_CASE("Waiting on a closed socket is an error, not a wait") {
  Socket socket;
  CHECK(code_of([&] { wait_readable(socket, Deadline::never()); }) == ErrorCode::closed);
  CHECK(code_of([&] { wait_writable(socket, Deadline::never()); }) == ErrorCode::closed);
}
