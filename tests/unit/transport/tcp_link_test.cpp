// SPDX-License-Identifier: Apache-2.0
#include "transport/tcp/tcp_link.hpp"

#include "support/deaf_socket.hpp"

#include <catch2/catch.hpp>

#include <cerrno>
#include <memory>
#include <thread>
#include <vector>

#include <netinet/in.h>
#include <netinet/tcp.h>

using namespace trireme;
using transport::LinkState;
using transport::TcpLink;

namespace {

constexpr std::chrono::milliseconds limit{300};

struct Connection {
  net::Socket listener = net::listen_tcp({"127.0.0.1", 0});
  Deadline soon = Deadline::after(std::chrono::seconds(20));
  TcpLink link{net::connect_tcp(net::local_address(listener), soon), limit};
  net::Socket peer = net::accept(listener, soon).value();

  /// Until nothing more fits.
  void fill() {
    const std::vector<std::byte> much(std::size_t{1} << 20);
    const std::span<const std::byte> part(much);
    while (link.write({&part, 1}) != 0) {
    }
  }
  /// Looks as an endpoint about to sleep does.
  LinkState state_at(Deadline until) {
    while (link.state() == LinkState::open && !until.passed()) {
      link.arm(true);
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return link.state();
  }
};

}  // namespace

TEST_CASE("a peer that is stopped with a full window keeps its link for longer than a dead host would") {
  Connection connection;
  connection.fill();
  REQUIRE(connection.state_at(Deadline::after(5 * limit)) == LinkState::open);
  // The kernel's own limit, of which the same holds, is longer than a test should take.
  int milliseconds = -1;
  socklen_t length = sizeof milliseconds;
  REQUIRE(::getsockopt(connection.link.descriptor(), IPPROTO_TCP, TCP_USER_TIMEOUT, &milliseconds, &length) == 0);
  REQUIRE(milliseconds == 0);
}

TEST_CASE("a host that answers nothing while data is under way loses its link, with the reason") {
  Connection connection;
  testing::make_deaf(connection.peer.descriptor());
  connection.fill();
  REQUIRE(connection.state_at(connection.soon) == LinkState::lost);
  REQUIRE(connection.link.errno_value() == ETIMEDOUT);
}
