// SPDX-License-Identifier: Apache-2.0
#include "pair.hpp"
#include "support/failures.hpp"

#include <catch2/catch.hpp>

#include <future>
#include <thread>

#include <fcntl.h>

using namespace trireme;
using namespace trireme::net;
using namespace trireme::testing;
using namespace trireme::net::testing;

TEST_CASE("A local socket connects by name and leaves no file") {
  std::string name = own_name("echo");
  Socket listener = listen_local(name);
  Socket left = connect_local(name, soon());
  Socket right = accept(listener, soon()).value();
  send_message(left, bytes_of("hello"), soon());
  CHECK(receive_message(right, 16, soon()).size() == 5);
  CHECK(::access(name.c_str(), F_OK) != 0);
  for (const Socket* socket : {&listener, &left, &right}) {
    CHECK((::fcntl(socket->descriptor(), F_GETFD) & FD_CLOEXEC) != 0);
    CHECK((::fcntl(socket->descriptor(), F_GETFL) & O_NONBLOCK) != 0);
  }
}

TEST_CASE("A local name is free again once its listener is closed") {
  std::string name = own_name("again");
  listen_local(name);
  listen_local(name);
}

TEST_CASE("A taken local name is the caller's mistake, named") {
  std::string name = own_name("taken");
  Socket listener = listen_local(name);
  Error error = error_of([&] { listen_local(name); });
  CHECK(error.code == ErrorCode::invalid_argument);
  CHECK(has(error.message, name));
}

TEST_CASE("Local names have 1 to 107 bytes, and a prefix is another name") {
  std::string longest = own_name(std::string(107, 'x')).substr(0, 107);
  Socket listener = listen_local(longest);
  Socket left = connect_local(longest, soon());
  CHECK(code_of([&] { connect_local(longest.substr(0, 106), shortly()); }) == ErrorCode::timeout);
  CHECK(code_of([&] { listen_local(longest + "x"); }) == ErrorCode::invalid_argument);
  CHECK(code_of([&] { connect_local("", soon()); }) == ErrorCode::invalid_argument);
}

TEST_CASE("Connecting waits for a local listener that starts later") {
  std::string name = own_name("later");
  auto connected = std::async(std::launch::async, [&] { return connect_local(name, soon()); });
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  Socket listener = listen_local(name);
  CHECK(accept(listener, soon()).has_value());
  CHECK(connected.get().is_open());
}

TEST_CASE("Connecting to a local name with a full queue waits, then times out saying so") {
  std::string name = own_name("full");
  Socket listener = listen_local(name, 0);
  std::vector<Socket> queued;
  Error error;
  while (!error) error = error_of([&] { queued.push_back(connect_local(name, shortly())); });
  CHECK(error.code == ErrorCode::timeout);
  CHECK(has(error.message, "full"));
}

TEST_CASE("A local connection that waits in vain times out, naming the name") {
  Error error = error_of([] { connect_local(own_name("nobody"), shortly()); });
  CHECK(error.code == ErrorCode::timeout);
  CHECK(has(error.message, own_name("nobody")));
}

TEST_CASE("A local socket has no TCP address") {
  Pair pair = make_pair();
  CHECK(code_of([&] { local_address(pair.left); }) == ErrorCode::invalid_argument);
}
