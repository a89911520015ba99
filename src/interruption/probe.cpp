// SPDX-License-Identifier: Apache-2.0
#include "interruption/probe.hpp"

#include "trireme/base/deadline.hpp"
#include "trireme/base/error.hpp"
#include "trireme/net/socket.hpp"

#include <algorithm>
#include <cerrno>
#include <memory>

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

namespace trireme::interruption {
namespace {

struct FreeAddress {
  void operator()(addrinfo* address) const { ::freeaddrinfo(address); }
};

std::unique_ptr<addrinfo, FreeAddress> numeric(const MetadataAddress& address) {
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (::getaddrinfo(address.host.c_str(), address.port.c_str(), &wanted, &found) != 0) return nullptr;
  return std::unique_ptr<addrinfo, FreeAddress>(found);
}

}  // namespace

MetadataAddress parse_metadata_address(std::string_view text) {
  const auto refuse = [&] {
    fail(ErrorCode::invalid_argument, "'" + std::string(text) +
                                          "' is no address of a metadata service: give numbers, as in "
                                          "http://169.254.169.254 or http://127.0.0.1:8080");
  };
  constexpr std::string_view scheme = "http://";
  std::string_view rest = text;
  if (!rest.starts_with(scheme)) refuse();
  rest.remove_prefix(scheme.size());
  while (rest.ends_with('/')) rest.remove_suffix(1);
  MetadataAddress address{.url = std::string(scheme) + std::string(rest), .host = {}, .port = "80"};
  const auto bracket = rest.find(']');
  const auto colon = rest.find(':', rest.starts_with('[') ? std::min(bracket, rest.size()) : 0);
  address.host = rest.substr(0, colon);
  if (colon != std::string_view::npos) address.port = rest.substr(colon + 1);
  if (rest.starts_with('[')) {
    if (bracket == std::string_view::npos || (bracket + 1 != rest.size() && bracket + 1 != colon)) refuse();
    address.host = rest.substr(1, bracket - 1);
  }
  const bool is_port = !address.port.empty() && address.port.size() <= 5 &&
                       address.port.find_first_not_of("0123456789") == std::string::npos;
  if (address.host.empty() || !is_port || !numeric(address)) refuse();
  return address;
}

bool takes_connections(const MetadataAddress& address, std::chrono::milliseconds limit, int wake) {
  const auto found = numeric(address);
  if (!found) return false;
  const net::Socket socket(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.is_open()) return false;
  if (::connect(socket.descriptor(), found->ai_addr, found->ai_addrlen) == 0) return true;
  if (errno != EINPROGRESS) return false;
  const auto deadline = Deadline::after(limit);
  pollfd polled[2]{{socket.descriptor(), POLLOUT, 0}, {wake, POLLIN, 0}};
  while (::poll(polled, 2, deadline.milliseconds_left()) < 0 && errno == EINTR) {
  }
  if (polled[0].revents == 0 || polled[1].revents != 0) return false;
  int error = 0;
  socklen_t size = sizeof error;
  return ::getsockopt(socket.descriptor(), SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
}

}  // namespace trireme::interruption
