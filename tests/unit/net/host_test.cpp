// SPDX-License-Identifier: Apache-2.0
#include "trireme/net/host.hpp"

#include "pair.hpp"
#include "support/failures.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace trireme;
using namespace trireme::net;
using namespace trireme::testing;
using namespace trireme::net::testing;

namespace {

/// host_identity() as a child process sees it, in a network namespace of its own if wanted; empty if it may not have
/// one.
std::string identity_in_a_child(bool own_namespace) {
  Pair pair = make_pair();
  pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    int status = 1;
    try {
      bool ready = !own_namespace || ::unshare(CLONE_NEWNET) == 0;
      send_message(pair.right, bytes_of(ready ? host_identity() : ""), soon());
      status = 0;
    } catch (...) {
    }
    ::_exit(status);
  }
  auto answer = receive_message(pair.left, 4096, soon());
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
  return {reinterpret_cast<const char*>(answer.data()), answer.size()};
}

}  // namespace

TEST_CASE("The host's identity is the same in every process of one host and network namespace") {
  std::string own = host_identity();
  CHECK(own.size() > 36);
  CHECK(host_identity() == own);
  CHECK(identity_in_a_child(false) == own);
}

TEST_CASE("Another network namespace is another host") {
  std::string other = identity_in_a_child(true);
  if (other.empty()) {
    WARN("skipped: this user may not make a network namespace");
    return;
  }
  CHECK(other != host_identity());
  CHECK(are_on_one_machine(other, host_identity()));
  CHECK_FALSE(are_on_one_machine("another-boot/4026531840", host_identity()));
}

TEST_CASE("The host has a name") { CHECK_FALSE(host_name().empty()); }

TEST_CASE("The interfaces include the loopback, and every address can be listened on") {
  auto addresses = interface_addresses();
  CHECK(std::any_of(addresses.begin(), addresses.end(), [](const auto& each) { return each.loopback; }));
  for (const InterfaceAddress& each : addresses) {
    CAPTURE(each.interface, each.address);
    CHECK(each.ipv6 == has(each.address, ":"));
    CHECK(each.address.rfind("fe80", 0) != 0);
    CHECK(code_of([&] { listen_tcp({each.address, 0}); }) == ErrorCode::none);
  }
}

TEST_CASE("One interface's addresses can be asked for, and an unknown one is refused with those there are") {
  auto all = interface_addresses();
  std::string name = all.front().interface;
  auto some = interface_addresses(name);
  CHECK_FALSE(some.empty());
  CHECK(std::all_of(some.begin(), some.end(), [&](const auto& each) { return each.interface == name; }));
  Error error = error_of([] { interface_addresses("nosuch0"); });
  CHECK(error.code == ErrorCode::invalid_argument);
  CHECK(has(error.message, "nosuch0"));
  CHECK(has(error.message, name));
}
