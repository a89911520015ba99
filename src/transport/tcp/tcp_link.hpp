// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/net/silence.hpp"
#include "trireme/net/socket.hpp"
#include "trireme/transport/link.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace trireme::transport {

/// A connected, authenticated TCP socket. Small reads are served from a read-ahead buffer, large ones go straight into
/// the caller's memory; writes gather. A peer that does not read is slow, for as long as its host answers; a host that
/// answers nothing for `silence` is lost.
class TcpLink final : public Link {
 public:
  explicit TcpLink(net::Socket socket, std::chrono::milliseconds silence = std::chrono::seconds(5));
  /// With further flows of the same peer as lanes, and what route() says.
  TcpLink(net::Socket socket, std::vector<std::unique_ptr<Link>> lanes, std::string route);
  ~TcpLink() override;
  /// A minute of unanswered probes instead of seconds ends it while idle: the first lane tells of a dead host, and three
  /// probes that a busy line swallows must not end one that is only resting.
  void probe_patiently() const { net::probe_patiently(socket_); }

  std::size_t write(std::span<const std::span<const std::byte>> parts) noexcept override;
  std::size_t read(std::span<std::byte> into) noexcept override;
  bool lend(const void*, std::size_t, std::uint64_t&) const noexcept override { return false; }
  bool streams_all() const noexcept override { return true; }
  std::byte* borrow(std::uint64_t, std::size_t) noexcept override { return nullptr; }
  void nudge() noexcept override {}
  int descriptor() const noexcept override { return socket_.descriptor(); }
  bool arm(bool for_writing) noexcept override;
  void disarm() noexcept override {}
  void check() noexcept override;
  LinkState state() const noexcept override { return state_; }
  int errno_value() const noexcept override { return errno_value_; }
  void close() noexcept override;
  std::vector<std::unique_ptr<Link>> take_lanes() override { return std::move(lanes_); }
  std::string route() const override { return route_; }

 private:
  std::size_t send_parts(std::span<const std::span<const std::byte>> parts) noexcept;
  /// What `call` has written, a system call that may have to be made again.
  template <class Call>
  std::size_t sent(Call call) noexcept;
  std::size_t receive(std::span<std::byte> into) noexcept;
  void break_off(int reason) noexcept;

  net::Socket socket_;
  net::SilenceWatch watch_;
  std::chrono::steady_clock::time_point next_look_{};
  LinkState state_ = LinkState::open;
  int errno_value_ = 0;
  bool ended_ = false;
  std::vector<std::byte> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  bool dry_ = false;  // the kernel gave less than there was room for: it has no more, and is not asked at once again
  std::vector<std::unique_ptr<Link>> lanes_;
  std::string route_;
};

/// The link of all connections to a peer, of which the first is the ordered one.
std::unique_ptr<Link> make_tcp_link(std::vector<net::Socket> flows, std::string route);

}  // namespace trireme::transport
