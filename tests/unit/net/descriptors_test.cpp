// SPDX-License-Identifier: Apache-2.0
#include "pair.hpp"
#include "support/failures.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/stat.h>

using namespace trireme;
using namespace trireme::net;
using namespace trireme::testing;
using namespace trireme::net::testing;

namespace {

ino_t inode_of(int descriptor) {
  struct stat status {};
  REQUIRE(::fstat(descriptor, &status) == 0);
  return status.st_ino;
}

}  // namespace

TEST_CASE("Descriptors arrive in order, as new descriptors of the same files, close on exec") {
  Pair pair = make_pair();
  Pair first = make_pair();
  Pair second = make_pair();
  std::vector<int> sent = {first.left.descriptor(), second.left.descriptor(), first.right.descriptor()};
  send_descriptors(pair.left, sent, soon());
  auto received = receive_descriptors(pair.right, 3, soon());
  REQUIRE(received.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(received[i].descriptor() != sent[i]);
    CHECK(inode_of(received[i].descriptor()) == inode_of(sent[i]));
    CHECK((::fcntl(received[i].descriptor(), F_GETFD) & FD_CLOEXEC) != 0);
  }
}

TEST_CASE("None and the most descriptors can be passed, one more cannot") {
  Pair pair = make_pair();
  send_descriptors(pair.left, {}, soon());
  CHECK(receive_descriptors(pair.right, 0, soon()).empty());
  std::vector<int> sixteen(16, pair.left.descriptor());
  send_descriptors(pair.left, sixteen, soon());
  CHECK(receive_descriptors(pair.right, 16, soon()).size() == 16);
  std::vector<int> seventeen(17, pair.left.descriptor());
  CHECK(code_of([&] { send_descriptors(pair.left, seventeen, soon()); }) == ErrorCode::invalid_argument);
  CHECK(code_of([&] { receive_descriptors(pair.right, 17, soon()); }) == ErrorCode::invalid_argument);
}

TEST_CASE("A wrong number of descriptors is corrupt and leaks none") {
  Pair pair = make_pair();
  auto [sent, due] = GENERATE(table<std::size_t, std::size_t>({{1, 2}, {3, 2}, {0, 1}, {2, 0}, {16, 1}}));
  CAPTURE(sent, due);
  int before = open_descriptors();
  send_descriptors(pair.left, std::vector<int>(sent, pair.left.descriptor()), soon());
  CHECK(code_of([&, due = due] { receive_descriptors(pair.right, due, soon()); }) == ErrorCode::corrupt);
  CHECK(open_descriptors() == before);
}

TEST_CASE("More descriptors than ours would ever send are corrupt and leak none") {
  Pair pair = make_pair();
  int before = open_descriptors();
  constexpr std::size_t count = 40;
  alignas(cmsghdr) char control[CMSG_SPACE(count * sizeof(int))] = {};
  char payload = count;
  iovec piece{&payload, 1};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* part = CMSG_FIRSTHDR(&message);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(count * sizeof(int));
  for (std::size_t i = 0; i < count; ++i) reinterpret_cast<int*>(CMSG_DATA(part))[i] = pair.left.descriptor();
  REQUIRE(::sendmsg(pair.left.descriptor(), &message, MSG_NOSIGNAL) == 1);
  CHECK(code_of([&] { receive_descriptors(pair.right, 16, soon()); }) == ErrorCode::corrupt);
  CHECK(open_descriptors() == before);
}

TEST_CASE("Plain bytes where descriptors are due are corrupt") {
  Pair pair = make_pair();
  send_all(pair.left, bytes_of("x"), soon());
  CHECK(code_of([&] { receive_descriptors(pair.right, 1, soon()); }) == ErrorCode::corrupt);
  send_all(pair.left, bytes_of("x"), soon());
  CHECK(code_of([&] { receive_descriptors(pair.right, 0, soon()); }) == ErrorCode::corrupt);
}

TEST_CASE("Waiting for descriptors ends with the deadline and with the peer") {
  Pair pair = make_pair();
  CHECK(code_of([&] { receive_descriptors(pair.right, 1, shortly()); }) == ErrorCode::timeout);
  std::vector<std::byte> much(std::size_t{8} << 20);
  CHECK(code_of([&] { send_all(pair.right, much, shortly()); }) == ErrorCode::timeout);
  CHECK(code_of([&] { send_descriptors(pair.right, {}, shortly()); }) == ErrorCode::timeout);
  pair.left.close();
  CHECK(code_of([&] { send_descriptors(pair.right, {}, soon()); }) != ErrorCode::none);
  Pair other = make_pair();
  other.left.close();
  CHECK(code_of([&] { receive_descriptors(other.right, 1, soon()); }) == ErrorCode::closed);
}

TEST_CASE("Bytes before and behind descriptors stay apart from them") {
  Pair pair = make_pair();
  std::vector<int> one = {pair.left.descriptor()};
  send_message(pair.left, bytes_of("before"), soon());
  send_descriptors(pair.left, one, soon());
  send_message(pair.left, bytes_of("behind"), soon());
  CHECK(receive_message(pair.right, 16, soon()).size() == 6);
  CHECK(receive_descriptors(pair.right, 1, soon()).size() == 1);
  CHECK(receive_message(pair.right, 16, soon()).size() == 6);
}
