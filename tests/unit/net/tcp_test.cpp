// SPDX-License-Identifier: Apache-2.0
#include "pair.hpp"
#include "support/failures.hpp"
#include "support/reserved_port.hpp"
#include "trireme/net/socket.hpp"

#include <catch2/catch.hpp>

#include <fstream>
#include <future>
#include <thread>

#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace trireme;
using namespace trireme::net;
using namespace trireme::testing;
using namespace trireme::net::testing;

namespace {

int option(const Socket& socket, int level, int name) {
  int value = -1;
  socklen_t length = sizeof value;
  REQUIRE(::getsockopt(socket.descriptor(), level, name, &value, &length) == 0);
  return value;
}

void exchange(const Socket& left, const Socket& right) {
  std::vector<std::byte> received(5);
  send_all(left, bytes_of("hello"), soon());
  receive_all(right, received, soon());
  CHECK(std::equal(received.begin(), received.end(), bytes_of("hello").begin()));
  send_all(right, bytes_of("olleh"), soon());
  receive_all(left, received, soon());
  CHECK(std::equal(received.begin(), received.end(), bytes_of("olleh").begin()));
}

/// "fe80::1%eth0" of some interface that is up and done with duplicate detection, port 0; no host if there is none.
Address link_local_address() {
  ifaddrs* first = nullptr;
  REQUIRE(::getifaddrs(&first) == 0);
  Address found;
  for (const ifaddrs* each = first; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr || each->ifa_addr->sa_family != AF_INET6 || (each->ifa_flags & IFF_RUNNING) == 0)
      continue;
    char host[256] = {};
    if (::getnameinfo(each->ifa_addr, sizeof(sockaddr_in6), host, sizeof host, nullptr, 0, NI_NUMERICHOST) != 0)
      continue;
    Address candidate{host, 0};
    if (candidate.host.rfind("fe80", 0) == 0 && code_of([&] { listen_tcp(candidate); }) == ErrorCode::none)
      found = candidate;
  }
  ::freeifaddrs(first);
  return found;
}

/// Brings the loopback up and leaves the ephemeral ports 40000 and 40001.
bool prepare_namespace_with_two_ports() {
  Socket socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  request.ifr_name[0] = 'l';
  request.ifr_name[1] = 'o';
  request.ifr_flags = IFF_UP;
  if (::ioctl(socket.descriptor(), SIOCSIFFLAGS, &request) != 0) return false;
  std::ofstream range("/proc/sys/net/ipv4/ip_local_port_range");
  range << "40000 40001" << std::flush;
  return range.good();
}

}  // namespace

TEST_CASE("A TCP connection over IPv4 loopback carries bytes both ways") {
  Pair pair = make_tcp_pair("127.0.0.1");
  CHECK(local_address(pair.left).host == "127.0.0.1");
  exchange(pair.left, pair.right);
}

TEST_CASE("A TCP connection over IPv6 loopback carries bytes both ways") {
  if (!has_ipv6_loopback()) {
    WARN("skipped: this machine has no ::1");
    return;
  }
  Pair pair = make_tcp_pair("::1");
  CHECK(local_address(pair.left).host == "::1");
  exchange(pair.left, pair.right);
}

TEST_CASE("An IPv6 address is accepted with its scope") {
  if (!has_ipv6_loopback()) {
    WARN("skipped: this machine has no ::1");
    return;
  }
  Address address = GENERATE(Address{"::1%1", 0}, link_local_address());
  if (address.host.empty()) {
    WARN("half skipped: no interface has an IPv6 link-local address");
    return;
  }
  CAPTURE(address.host);
  Socket listener = listen_tcp(address);
  Address there = local_address(listener);
  if (address.host != "::1%1") CHECK(there.host == address.host);
  Socket left = connect_tcp({address.host, there.port}, soon());
  Socket right = accept(listener, soon()).value();
  exchange(left, right);
}

TEST_CASE("A listener on no host in particular takes both families") {
  Socket listener = listen_tcp({"", 0});
  std::uint16_t port = local_address(listener).port;
  Socket v4 = connect_tcp({"127.0.0.1", port}, soon());
  Socket v4_end = accept(listener, soon()).value();
  CHECK(local_address(v4_end).host == "127.0.0.1");  // not its form mapped into IPv6
  exchange(v4, v4_end);
  if (!has_ipv6_loopback()) {
    WARN("half skipped: this machine has no ::1");
    return;
  }
  Socket v6 = connect_tcp({"::1", port}, soon());
  Socket v6_end = accept(listener, soon()).value();
  CHECK(local_address(v6_end).host == "::1");
  exchange(v6, v6_end);
}

TEST_CASE("A name is resolved, and each of its addresses is tried") {
  // localhost usually has two addresses; only one of them has a listener.
  Socket listener = listen_tcp({"127.0.0.1", 0});
  Socket left = connect_tcp({"localhost", local_address(listener).port}, soon());
  Socket right = accept(listener, soon()).value();
  exchange(left, right);
}

TEST_CASE("Both ends of a connection are non-blocking, close on exec, and carry the stream options") {
  Pair pair = make_tcp_pair("127.0.0.1");
  for (const Socket* socket : {&pair.left, &pair.right}) {
    CHECK((::fcntl(socket->descriptor(), F_GETFD) & FD_CLOEXEC) != 0);
    CHECK((::fcntl(socket->descriptor(), F_GETFL) & O_NONBLOCK) != 0);
    CHECK(option(*socket, IPPROTO_TCP, TCP_NODELAY) == 1);
    CHECK(option(*socket, SOL_SOCKET, SO_KEEPALIVE) == 1);
    CHECK(option(*socket, IPPROTO_TCP, TCP_KEEPIDLE) == 2);
    CHECK(option(*socket, IPPROTO_TCP, TCP_KEEPINTVL) == 1);
    CHECK(option(*socket, IPPROTO_TCP, TCP_KEEPCNT) == 3);
    CHECK(option(*socket, IPPROTO_TCP, TCP_USER_TIMEOUT) == 5000);
  }
  Socket listener = listen_tcp({"127.0.0.1", 0});
  CHECK((::fcntl(listener.descriptor(), F_GETFD) & FD_CLOEXEC) != 0);
  CHECK((::fcntl(listener.descriptor(), F_GETFL) & O_NONBLOCK) != 0);
}

TEST_CASE("A taken port is the caller's mistake, named") {
  Socket first = listen_tcp({"127.0.0.1", 0});
  Address address = local_address(first);
  Error error = error_of([&] { listen_tcp(address); });
  CHECK(error.code == ErrorCode::invalid_argument);
  CHECK(has(error.message, address.to_string()));
  Error any = error_of([&] { listen_tcp({"", address.port}); });
  CHECK(any.code == ErrorCode::invalid_argument);
}

TEST_CASE("An address of another host cannot be listened on, and the error names it") {
  Error error = error_of([] { listen_tcp({"203.0.113.7", 0}); });  // TEST-NET-3: nobody's
  CHECK(error.code == ErrorCode::invalid_argument);
  CHECK(has(error.message, "203.0.113.7:0"));
  CHECK(code_of([] { listen_tcp({"not an address", 0}); }) == ErrorCode::invalid_argument);
}

TEST_CASE("Connecting waits for a listener that starts later") {
  const ReservedPort reserved;
  const Address address = reserved.address;
  auto connected = std::async(std::launch::async, [&] { return connect_tcp(address, soon()); });
  std::this_thread::sleep_for(
      std::chrono::milliseconds(60));  // some refusals first; the promise holds without them too
  Socket listener = listen_tcp(address);
  Socket right = accept(listener, soon()).value();
  Socket left = connected.get();
  exchange(left, right);
}

TEST_CASE("Connecting to a port where nobody listens times out, naming address and reason") {
  const ReservedPort reserved;
  const Address address = reserved.address;
  Error error = error_of([&] { connect_tcp(address, shortly()); });
  CHECK(error.code == ErrorCode::timeout);
  CHECK(has(error.message, address.to_string()));
  CHECK(has(error.message, "refused"));
}

TEST_CASE("Of a name that resolves and a port where nobody listens the port is blamed, not the name service") {
  const ReservedPort reserved;
  const Error error = error_of([&] {
    connect_tcp({"localhost", reserved.address.port}, Deadline::after(std::chrono::seconds(2)));
  });
  CHECK(error.code == ErrorCode::timeout);
  CHECK(has(error.message, "refused"));
}

TEST_CASE("Connecting to a name that does not resolve times out, naming it") {
  Error error = error_of([] { connect_tcp({"no-such-host.invalid", 1}, shortly()); });
  CHECK(error.code == ErrorCode::timeout);
  CHECK(has(error.message, "no-such-host.invalid:1"));
}

TEST_CASE("Connecting never joins a socket to itself") {
  // With two ephemeral ports, the kernel soon picks the destination's own port as the source: the two SYNs cross, and a
  // connection without any listener stands. A network namespace of a child has those two ports.
  constexpr int succeeded = 1;
  constexpr int skipped = 77;
  pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::_exit(::unshare(CLONE_NEWNET) != 0 || !prepare_namespace_with_two_ports() ? skipped
            : code_of([] {
                connect_tcp({"127.0.0.1", 40000}, Deadline::after(std::chrono::milliseconds(200)));
              }) == ErrorCode::timeout
                ? 0
                : succeeded);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  if (WEXITSTATUS(status) == skipped) {
    WARN("skipped: this user may not make a network namespace");
    return;
  }
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("An address without host or port cannot be connected to") {
  CHECK(code_of([] { connect_tcp({"", 1}, soon()); }) == ErrorCode::invalid_argument);
  CHECK(code_of([] { connect_tcp({"127.0.0.1", 0}, soon()); }) == ErrorCode::invalid_argument);
  CHECK(code_of([] { connect_tcp({std::string("127.0.0.1\0x", 11), 1}, soon()); }) == ErrorCode::invalid_argument);
}

TEST_CASE("Accepting gives nothing at the deadline") {
  Socket listener = listen_tcp({"127.0.0.1", 0});
  CHECK_FALSE(net::accept(listener, shortly()).has_value());
  CHECK_FALSE(net::accept(listener, Deadline::after(std::chrono::seconds(-1))).has_value());
}

TEST_CASE("A connection that is already there is accepted even when the deadline has passed") {
  Socket listener = listen_tcp({"127.0.0.1", 0});
  Socket left = connect_tcp(local_address(listener), soon());
  REQUIRE(wait_readable(listener, soon()));
  CHECK(net::accept(listener, Deadline::after(std::chrono::seconds(-1))).has_value());
}

TEST_CASE("The congestion control of a connection is the one asked for, and of itself never bbr") {
  Pair pair = make_tcp_pair("127.0.0.1");
  const std::string own = congestion(pair.left);
  CHECK(settle_congestion(pair.left, "system"));
  CHECK(congestion(pair.left) == own);
  CHECK_FALSE(settle_congestion(pair.left, "no_such_one"));
  CHECK(congestion(pair.left) == own);
  REQUIRE(settle_congestion(pair.left, "reno"));  // every kernel has it, and grants it to everybody
  CHECK(settle_congestion(pair.left, ""));
  CHECK(congestion(pair.left) == "reno");
  if (!set_congestion(pair.left, "bbr") || !set_congestion(pair.right, "cubic")) {
    WARN("skipped: this process may not choose bbr and cubic");
    return;
  }
  CHECK(settle_congestion(pair.left, ""));
  CHECK(congestion(pair.left) == "cubic");
}
