// SPDX-License-Identifier: Apache-2.0
#include "transport/tcp/tcp_link.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <sys/socket.h>
#include <sys/uio.h>

namespace trireme::transport {
namespace {
// Several small messages in one call; of a large one only so much is copied, the rest goes where it belongs.
constexpr std::size_t read_ahead = 16 * 1024;
constexpr std::chrono::milliseconds between_looks{100};
constexpr std::size_t direct = 16 * 1024;  // from here on a copy costs more than a second call
constexpr std::size_t gathered = 1024;     // up to here a copy costs less than the kernel's reading of a list
// What a flow of pieces may hold that has not left yet: two pieces. With more, a slow one would take as many as its buffer
// holds, megabytes, before another gets them.
constexpr std::size_t most_unsent = 512 * 1024;
}  // namespace

TcpLink::TcpLink(net::Socket socket, std::chrono::milliseconds silence)
    : socket_(std::move(socket)), watch_(silence), buffer_(read_ahead) {
  net::set_stream_options(socket_);
  net::let_stall(socket_);
}

TcpLink::TcpLink(net::Socket socket, std::vector<std::unique_ptr<Link>> lanes, std::string route)
    : TcpLink(std::move(socket)) {
  lanes_ = std::move(lanes);
  route_ = std::move(route);
}

TcpLink::~TcpLink() {
  if (!ended_) {
    // Not closed in good order: the peer shall see a reset, not an end of stream.
    const linger abort_now{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(socket_.descriptor(), SOL_SOCKET, SO_LINGER, &abort_now, sizeof abort_now);
  }
}

std::size_t TcpLink::write(std::span<const std::span<const std::byte>> parts) noexcept {
  if (state_ != LinkState::open || ended_) return 0;
  std::size_t total = 0;
  for (const auto part : parts) total += part.size();
  if (total > gathered) return send_parts(parts);
  std::array<std::byte, gathered> together;
  std::byte* end = together.data();
  for (const auto part : parts) {
    if (!part.empty()) std::memcpy(end, part.data(), part.size());
    end += part.size();
  }
  return sent([&] { return ::send(socket_.descriptor(), together.data(), total, MSG_DONTWAIT | MSG_NOSIGNAL); });
}

std::size_t TcpLink::send_parts(std::span<const std::span<const std::byte>> parts) noexcept {
  std::array<iovec, 4> vectors{};
  std::size_t count = 0;
  for (auto part : parts) {
    if (part.empty() || count == vectors.size()) continue;
    vectors[count++] = {const_cast<std::byte*>(part.data()), part.size()};
  }
  msghdr message{};
  message.msg_iov = vectors.data();
  message.msg_iovlen = count;
  return sent([&] { return ::sendmsg(socket_.descriptor(), &message, MSG_DONTWAIT | MSG_NOSIGNAL); });
}

template <class Call>
std::size_t TcpLink::sent(Call call) noexcept {
  for (;;) {
    const auto count = call();
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) {
      // The peer may have written its reason before it went: what it sent is read first, then the read fails too.
      if (errno != EPIPE && errno != ECONNRESET) break_off(errno);
    }
    return 0;
  }
}

std::size_t TcpLink::read(std::span<std::byte> into) noexcept {
  if (begin_ == end_) {
    if (state_ != LinkState::open || std::exchange(dry_, false)) return 0;
    if (into.size() >= direct) return receive(into);
    begin_ = 0;
    end_ = receive(buffer_);
  }
  const std::size_t count = std::min(end_ - begin_, into.size());
  std::memcpy(into.data(), buffer_.data() + begin_, count);
  begin_ += count;
  return count;
}

std::size_t TcpLink::receive(std::span<std::byte> into) noexcept {
  for (;;) {
    const auto got = ::recv(socket_.descriptor(), into.data(), into.size(), MSG_DONTWAIT);
    if (got > 0) {
      dry_ = static_cast<std::size_t>(got) < into.size();
      return static_cast<std::size_t>(got);
    }
    if (got == 0) {
      state_ = LinkState::closed;
      return 0;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) break_off(errno);
    return 0;
  }
}

bool TcpLink::arm(bool) noexcept {
  check();
  return begin_ == end_ && state_ == LinkState::open;
}

void TcpLink::check() noexcept {
  dry_ = false;  // who asks for the end wants what the kernel has by now
  if (state_ != LinkState::open) return;
  const auto now = std::chrono::steady_clock::now();
  if (now < next_look_) return;
  next_look_ = now + between_looks;
  if (watch_.is_silent(socket_)) break_off(ETIMEDOUT);
}

void TcpLink::break_off(int reason) noexcept {
  state_ = LinkState::lost;
  errno_value_ = reason;
}

void TcpLink::close() noexcept {
  if (ended_) return;
  ended_ = true;
  ::shutdown(socket_.descriptor(), SHUT_WR);
}

std::unique_ptr<Link> make_tcp_link(std::vector<net::Socket> flows, std::string route) {
  std::vector<std::unique_ptr<Link>> lanes;
  for (std::size_t i = 1; i < flows.size(); ++i) {
    net::limit_unsent(flows[i], most_unsent);
    auto lane = std::make_unique<TcpLink>(std::move(flows[i]));
    lane->probe_patiently();
    lanes.push_back(std::move(lane));
  }
  return std::make_unique<TcpLink>(std::move(flows.front()), std::move(lanes), std::move(route));
}

}  // namespace trireme::transport
