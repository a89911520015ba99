// SPDX-License-Identifier: Apache-2.0
#include "cli/perf/socket_ring.hpp"

#include "trireme/base/error.hpp"

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include <poll.h>
#include <sys/socket.h>

namespace trireme::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds patience{60};
// Below this a rank that sleeps is woken later than its bytes arrive, and the yardstick would be the scheduler's.
constexpr std::chrono::microseconds awake{200};

/// How many bytes went through, from what send or recv said.
std::size_t moved(ssize_t result, const char* what) {
  if (result >= 0) return static_cast<std::size_t>(result);
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return 0;
  fail_system(what, errno);
}

}  // namespace

SocketRing::SocketRing(Communicator& communicator) {
  const std::string loopback = "127.0.0.1";
  const net::Socket listener = net::listen_tcp({loopback, 0});
  const std::array<std::int32_t, 1> mine{net::local_address(listener).port};
  std::vector<std::int32_t> ports(static_cast<std::size_t>(communicator.size()));
  communicator.all_gather(std::span<const std::int32_t>(mine), std::span<std::int32_t>(ports), {.label = "bound"});
  const int next = (communicator.rank() + 1) % communicator.size();
  const Deadline deadline = Deadline::after(patience);
  next_ = net::connect_tcp({loopback, static_cast<std::uint16_t>(ports[static_cast<std::size_t>(next)])}, deadline);
  auto accepted = net::accept(listener, deadline);
  if (!accepted) fail(ErrorCode::timeout, "the rank before did not connect over loopback");
  previous_ = std::move(*accepted);
}

void SocketRing::exchange(std::span<const std::byte> from, std::span<std::byte> to) {
  auto idle_since = Clock::now();
  while (!from.empty() || !to.empty()) {
    std::size_t sent = 0, received = 0;
    if (!from.empty()) {
      sent = moved(::send(next_.descriptor(), from.data(), from.size(), MSG_NOSIGNAL | MSG_DONTWAIT), "send");
      from = from.subspan(sent);
    }
    if (!to.empty()) {
      const ssize_t result = ::recv(previous_.descriptor(), to.data(), to.size(), MSG_DONTWAIT);
      if (result == 0) fail(ErrorCode::closed, "the rank before closed its connection");
      received = moved(result, "recv");
      to = to.subspan(received);
    }
    if (sent + received != 0) {
      idle_since = Clock::now();
    } else if (Clock::now() - idle_since < awake) {
      std::this_thread::yield();
    } else {
      pollfd polled[2]{{from.empty() ? -1 : next_.descriptor(), POLLOUT, 0},
                       {to.empty() ? -1 : previous_.descriptor(), POLLIN, 0}};
      if (::poll(polled, 2, static_cast<int>(std::chrono::milliseconds(patience).count())) == 0)
        fail(ErrorCode::timeout, "no byte moved between two ranks over loopback");
    }
  }
}

}  // namespace trireme::cli
