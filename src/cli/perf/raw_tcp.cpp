// SPDX-License-Identifier: Apache-2.0
#include "cli/perf/raw_tcp.hpp"

#include "trireme/base/error.hpp"

#include <cerrno>
#include <chrono>

#include <poll.h>
#include <sys/socket.h>

namespace trireme::cli {
namespace {

constexpr int patience_ms = 60'000;

/// Bytes that went; 0: none can now.
std::size_t went(ssize_t result, const char* what) {
  if (result > 0) return static_cast<std::size_t>(result);
  if (result == 0) fail(ErrorCode::closed, "a plain socket was closed");
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return 0;
  fail_system(what, errno);
}

/// Moves both ways until all has moved; of `out` so much may go as has come in whole keys (`key` > 0), or all (0).
/// False: the other end has closed before the first byte.
bool move_both(const net::Socket& socket, std::span<const std::byte> out, std::span<std::byte> in, std::size_t key) {
  std::size_t sent = 0, received = 0;
  bool sends = true, receives = true;  // whether it is worth trying
  while (sent < out.size() || received < in.size()) {
    const std::size_t may = key == 0 ? out.size() : received / key * key;
    bool moved = false;
    if (sends && sent < may) {
      const std::size_t count =
          went(::send(socket.descriptor(), out.data() + sent, may - sent, MSG_NOSIGNAL | MSG_DONTWAIT), "send");
      sends = count == may - sent;
      moved = count != 0;
      sent += count;
    }
    if (receives && received < in.size()) {
      const ssize_t result = ::recv(socket.descriptor(), in.data() + received, in.size() - received, MSG_DONTWAIT);
      if (result == 0 && received == 0) return false;
      const std::size_t count = went(result, "recv");
      receives = count == in.size() - received;
      moved = moved || count != 0;
      received += count;
    }
    if (moved && (sends || receives)) continue;
    const bool wants_out = sent < (key == 0 ? out.size() : received / key * key);
    pollfd polled{socket.descriptor(),
                  static_cast<short>((received < in.size() ? POLLIN : 0) | (wants_out ? POLLOUT : 0)), 0};
    if (polled.events == 0) continue;
    const bool is_idle = key != 0 && received == 0;  // the next exchange may be long in coming
    if (::poll(&polled, 1, is_idle ? -1 : patience_ms) == 0)
      fail(ErrorCode::timeout, "no byte moved over a plain socket");
    sends = true;
    receives = true;
  }
  return true;
}

}  // namespace

RawTcp::RawTcp(std::size_t keys, std::size_t bytes, const std::string& congestion)
    : keys_(keys), bytes_(bytes), memory_(keys * bytes) {
  const Deadline deadline = Deadline::after(std::chrono::seconds(60));
  const net::Socket listener = net::listen_tcp({"127.0.0.1", 0});
  net::settle_congestion(listener, congestion);
  near_ = net::connect_tcp(net::local_address(listener), deadline);
  net::settle_congestion(near_, congestion);
  auto accepted = net::accept(listener, deadline);
  if (!accepted) fail(ErrorCode::timeout, "a plain socket did not connect over loopback");
  far_ = std::move(*accepted);
  thread_ = std::thread([this] { echo(); });
}

RawTcp::~RawTcp() {
  near_.close();
  thread_.join();
}

void RawTcp::echo() noexcept {
  try {
    while (move_both(far_, memory_, memory_, bytes_)) continue;
  } catch (const std::exception&) {
    far_.close();  // the other thread finds it closed
  }
}

void RawTcp::exchange(std::span<const std::byte> from, std::span<std::byte> to) {
  if (!move_both(near_, from, to, 0)) fail(ErrorCode::closed, "a plain socket was closed");
}

}  // namespace trireme::cli
