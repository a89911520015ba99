// SPDX-License-Identifier: Apache-2.0
#include "pair.hpp"
#include "support/failures.hpp"
#include "trireme/net/wire.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <future>
#include <random>
#include <thread>

using namespace trireme;
using namespace trireme::net;
using namespace trireme::testing;
using namespace trireme::net::testing;

namespace {

std::vector<std::byte> random_bytes(std::size_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::vector<std::byte> bytes(count);
  for (std::byte& value : bytes) value = static_cast<std::byte>(generator() & 0xff);
  return bytes;
}

}  // namespace

TEST_CASE("More bytes than the kernel buffers arrive whole") {
  Pair pair = GENERATE(0, 1) == 0 ? make_pair() : make_tcp_pair("127.0.0.1");
  auto sent = random_bytes((std::size_t{4} << 20) + 13, 1);
  auto sending = std::async(std::launch::async, [&] { send_all(pair.left, sent, soon()); });
  std::vector<std::byte> received(sent.size());
  receive_all(pair.right, received, soon());
  sending.get();
  CHECK(received == sent);
}

TEST_CASE("Bytes that trickle in are put together") {
  Pair pair = make_pair();
  auto sent = random_bytes(64, 2);
  auto sending = std::async(std::launch::async, [&] {
    for (std::size_t i = 0; i < sent.size(); i += 3) {
      send_all(pair.left, std::span(sent).subspan(i, std::min<std::size_t>(3, sent.size() - i)), soon());
      std::this_thread::yield();
    }
  });
  std::vector<std::byte> received(sent.size());
  receive_all(pair.right, received, soon());
  sending.get();
  CHECK(received == sent);
}

TEST_CASE("Nothing to send or receive needs no peer") {
  Pair pair = make_pair();
  pair.right.close();
  send_all(pair.left, {}, shortly());
  receive_all(pair.left, {}, shortly());
}

TEST_CASE("An end of stream is reported as closed, with what had arrived") {
  Pair pair = GENERATE(0, 1) == 0 ? make_pair() : make_tcp_pair("127.0.0.1");
  send_all(pair.left, bytes_of("abc"), soon());
  pair.left.close();
  std::vector<std::byte> received(8);
  Error error = error_of([&] { receive_all(pair.right, received, soon()); });
  CHECK(error.code == ErrorCode::closed);
  CHECK(has(error.message, "3 of 8 bytes"));
}

TEST_CASE("Sending to a peer that has closed is an error, not a signal") {
  Pair pair = make_pair();
  pair.right.close();
  CHECK(code_of([&] { send_all(pair.left, bytes_of("x"), soon()); }) == ErrorCode::closed);
}

TEST_CASE("A reset connection is a lost peer") {
  Pair pair = make_tcp_pair("127.0.0.1");
  linger reset{1, 0};
  REQUIRE(::setsockopt(pair.left.descriptor(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0);
  pair.left.close();
  std::vector<std::byte> received(1);
  Error error = error_of([&] { receive_all(pair.right, received, soon()); });
  CHECK(error.code == ErrorCode::peer_lost);
}

TEST_CASE("Receiving ends at the deadline, also when bytes keep trickling in") {
  Pair pair = make_pair();
  std::vector<std::byte> received(1000000);
  SECTION("silence") {
    Error error = error_of([&] { receive_all(pair.right, received, shortly()); });
    CHECK(error.code == ErrorCode::timeout);
    CHECK(has(error.message, "0 of 1000000 bytes"));
  }
  SECTION("a byte now and then") {
    std::atomic<bool> stop{false};
    std::thread trickle([&] {
      while (!stop) {
        send_all(pair.left, bytes_of("x"), soon());
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
    ErrorCode code = code_of([&] { receive_all(pair.right, received, shortly()); });
    stop = true;
    trickle.join();
    CHECK(code == ErrorCode::timeout);
  }
}

TEST_CASE("Sending ends at the deadline when the peer does not read") {
  Pair pair = GENERATE(0, 1) == 0 ? make_pair() : make_tcp_pair("127.0.0.1");
  std::vector<std::byte> much(std::size_t{64} << 20);
  CHECK(code_of([&] { send_all(pair.left, much, shortly()); }) == ErrorCode::timeout);
}

TEST_CASE("Bytes that are already there are received even when the deadline has passed") {
  Pair pair = make_pair();
  send_all(pair.left, bytes_of("abc"), soon());
  std::vector<std::byte> received(3);
  receive_all(pair.right, received, Deadline::after(std::chrono::seconds(-1)));
  CHECK(received[2] == std::byte{'c'});
}

TEST_CASE("Messages keep their boundaries") {
  Pair pair = make_pair();
  auto long_one = random_bytes(3000, 3);
  send_message(pair.left, bytes_of("first"), soon());
  send_message(pair.left, {}, soon());
  send_message(pair.left, long_one, soon());
  CHECK(receive_message(pair.right, 100, soon()).size() == 5);
  CHECK(receive_message(pair.right, 100, soon()).empty());
  CHECK(receive_message(pair.right, 3000, soon()) == long_one);
}

TEST_CASE("A message above the limit is refused at its header") {
  Pair pair = make_pair();
  Writer header;
  header.u32(0xffffffffu);
  send_all(pair.left, header.data(), soon());
  Error error = error_of([&] { receive_message(pair.right, 4096, soon()); });
  CHECK(error.code == ErrorCode::corrupt);
  CHECK(has(error.message, "4294967295"));
}

TEST_CASE("A message cut off anywhere is closed") {
  Writer whole;
  whole.text("payload");  // the same layout as a message
  for (std::size_t cut = 0; cut < whole.data().size(); ++cut) {
    Pair pair = make_pair();
    send_all(pair.left, whole.data().first(cut), soon());
    pair.left.close();
    CHECK(code_of([&] { receive_message(pair.right, 100, soon()); }) == ErrorCode::closed);
  }
}
