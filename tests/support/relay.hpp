// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/net/socket.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include <poll.h>
#include <sys/socket.h>

namespace trireme::testing {

/// Passes bytes between clients and a server. The first connection on which as many bytes as `cut_at` have gone to the server (or from
/// it) is cut then, both ways at once; all others are left alone. It need not be the first of all: whoever dials may give up and dial again.
class Relay {
 public:
  enum class Side { to_server, from_server };
  Relay(net::Address target, std::optional<std::uint64_t> cut_at, Side side)
      : target_(std::move(target)), cut_at_(cut_at), side_(side), listener_(net::listen_tcp({"127.0.0.1", 0})) {
    thread_ = std::thread([this] { run(); });
  }
  ~Relay() {
    stopping_ = true;
    thread_.join();
  }
  net::Address address() const { return net::local_address(listener_); }
  /// Of the connection with the most.
  std::uint64_t bytes(Side side) const { return side == Side::to_server ? to_server_ : from_server_; }
  bool has_cut() const { return has_cut_; }
  int connections() const { return connections_; }
  /// Of those, the ones that neither side nor this one has ended.
  int open_connections() const { return open_connections_; }
  /// Whether these bytes have passed, either way, on any connection.
  bool has_seen(std::span<const std::byte> bytes) const {
    std::lock_guard lock(mutex_);
    return std::any_of(seen_.begin(), seen_.end(), [&](const auto& each) {
      return std::search(each.second.begin(), each.second.end(), bytes.begin(), bytes.end()) != each.second.end();
    });
  }
  /// Lets none through once it has cut.
  void block_after_cut() { blocks_after_cut_ = true; }
  /// Cuts all connections, and lets none through from now on; or again.
  void block(bool blocked) { is_blocked_ = blocked; }
  /// Passes nothing from now on, and cuts nothing.
  void hold() { is_held_ = true; }

 private:
  struct Pair {
    net::Socket client, server;
    int number = 0;
    std::uint64_t to_server = 0, from_server = 0;
  };

  void run() {
    std::vector<std::unique_ptr<Pair>> pairs;
    while (!stopping_) {
      if (is_blocked_) pairs.clear();
      open_connections_ = static_cast<int>(pairs.size());
      if (is_held_) {
        ::poll(nullptr, 0, 10);
        continue;
      }
      std::vector<pollfd> watched{{listener_.descriptor(), POLLIN, 0}};
      for (const auto& pair : pairs) {
        watched.push_back({pair->client.descriptor(), POLLIN, 0});
        watched.push_back({pair->server.descriptor(), POLLIN, 0});
      }
      if (::poll(watched.data(), watched.size(), 10) <= 0) continue;
      for (std::size_t i = 0; i < pairs.size(); ++i) {
        Pair& pair = *pairs[i];
        const bool client = watched[1 + 2 * i].revents != 0, server = watched[2 + 2 * i].revents != 0;
        if ((client && !pass(pair, Side::to_server)) || (server && !pass(pair, Side::from_server))) pairs[i].reset();
      }
      std::erase(pairs, nullptr);
      if (watched[0].revents == 0) continue;
      auto client = net::accept(listener_, Deadline::after(std::chrono::seconds(1)));
      if (!client || is_blocked_) continue;
      try {
        auto server = net::connect_tcp(target_, Deadline::after(std::chrono::seconds(1)));
        pairs.push_back(std::make_unique<Pair>(Pair{*std::move(client), std::move(server), connections_.load()}));
        ++connections_;
      } catch (const Exception&) {
        continue;
      }
    }
  }

  bool pass(Pair& pair, Side side) {
    const net::Socket& from = side == Side::to_server ? pair.client : pair.server;
    const net::Socket& to = side == Side::to_server ? pair.server : pair.client;
    std::uint64_t& passed = side == Side::to_server ? pair.to_server : pair.from_server;
    std::atomic<std::uint64_t>& most_passed = side == Side::to_server ? to_server_ : from_server_;
    std::array<std::byte, 4096> buffer;
    std::size_t most = buffer.size();
    const bool counts = cut_at_ && side == side_ && !has_cut_;
    if (counts) most = std::min<std::size_t>(most, *cut_at_ - passed);
    const ssize_t count = ::recv(from.descriptor(), buffer.data(), most, MSG_DONTWAIT);
    if (count < 0) return errno == EAGAIN || errno == EINTR;
    if (count == 0) return false;
    {
      std::lock_guard lock(mutex_);
      auto& seen = seen_[{pair.number, side}];
      seen.insert(seen.end(), buffer.begin(), buffer.begin() + count);
    }
    try {
      net::send_all(to, std::span(buffer).first(static_cast<std::size_t>(count)),
                    Deadline::after(std::chrono::seconds(10)));
    } catch (const Exception&) {
      return false;
    }
    passed += static_cast<std::uint64_t>(count);
    most_passed = std::max(most_passed.load(), passed);
    if (!counts || passed < *cut_at_) return true;
    is_blocked_ = is_blocked_ || blocks_after_cut_;
    has_cut_ = true;
    return false;
  }

  const net::Address target_;
  const std::optional<std::uint64_t> cut_at_;
  const Side side_;
  net::Socket listener_;
  std::atomic<std::uint64_t> to_server_{0}, from_server_{0};
  std::atomic<bool> has_cut_{false}, stopping_{false}, is_blocked_{false}, blocks_after_cut_{false}, is_held_{false};
  std::atomic<int> connections_{0}, open_connections_{0};
  mutable std::mutex mutex_;
  std::map<std::pair<int, Side>, std::vector<std::byte>> seen_;
  std::thread thread_;
};

}  // namespace trireme::testing
