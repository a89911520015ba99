// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/error.hpp"
#include "trireme/net/socket.hpp"

#include <cerrno>
#include <chrono>
#include <span>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace trireme::net::testing {

/// Long enough for any machine: waits that are expected to succeed.
inline Deadline soon() { return Deadline::after(std::chrono::seconds(20)); }
/// Waits that are expected to fail.
inline Deadline shortly() { return Deadline::after(std::chrono::milliseconds(30)); }

struct Pair {
  Socket left;
  Socket right;
};

inline Pair make_pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) fail_system("socketpair", errno);
  return {Socket(ends[0]), Socket(ends[1])};
}

inline Pair make_tcp_pair(const std::string& host) {
  Socket listener = listen_tcp({host, 0});
  Socket left = connect_tcp(local_address(listener), soon());
  return {std::move(left), accept(listener, soon()).value()};
}

inline bool has_ipv6_loopback() {
  try {
    listen_tcp({"::1", 0});
    return true;
  } catch (const Exception&) {
    return false;
  }
}

inline std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

/// A name of an abstract socket that no other test run uses.
inline std::string own_name(const std::string& part) {
  return "trireme-test-" + std::to_string(::getpid()) + "-" + part;
}

/// How many descriptors this process has open.
inline int open_descriptors() {
  int count = 0;
  for (int descriptor = 0; descriptor < 1024; ++descriptor) count += ::fcntl(descriptor, F_GETFD) >= 0;
  return count;
}

}  // namespace trireme::net::testing
