// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/message.hpp"
#include "trireme/base/deadline.hpp"
#include "trireme/net/handshake.hpp"
#include "trireme/net/job_key.hpp"
#include "trireme/net/socket.hpp"

#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace trireme::ps {

/// Both ends name this as the purpose of a connection.
inline constexpr const char* connection_purpose = "ps";

/// What a connection is for, as its handshake's role says: "worker/2", "server/2": to event loop 2.
struct Role {
  bool is_server = false;
  std::uint32_t loop = 0;
  std::string to_text() const;
  static std::optional<Role> parse(const std::string& text);
};

/// Where new connections prove who they are. The handshake, and a worker's Join, block: each visit runs on a short-lived
/// thread, for at most 10 s and `most_guests` at once.
/// Threads: all calls come from one thread, the acceptor's.
class Reception {
 public:
  struct Guest {
    net::Socket socket;
    std::string from;  ///< its address, for messages
    net::Identity identity{};
    Role role{};
    std::optional<Join> join{};  ///< of a worker
    std::string problem{};       ///< why it must go; empty: it may come in
  };

  /// `ring` is called, from any thread, when a guest is ready.
  Reception(net::JobKey key, net::Identity self, std::function<void()> ring)
      : key_(key), self_(std::move(self)), ring_(std::move(ring)) {}
  /// Cuts the connections of those who are not ready, and joins their threads.
  ~Reception();

  /// Whether there is room for one more. If there is none, the oldest guests are cut off when they have taken more than a
  /// second: silent connections must not keep honest ones out, who try again.
  bool has_room();
  /// Errors: system when no thread can be had.
  void admit(net::Socket socket, std::string from, bool is_tcp);
  /// Those who are ready now.
  std::vector<Guest> ready();

 private:
  static constexpr std::size_t most_guests = 64;
  struct Visit {
    Guest guest;
    bool is_tcp = false;
    Deadline::Clock::time_point since;
    bool cut_off = false;
    bool done = false;  ///< guarded by mutex_; from then on the guest is the acceptor's
    std::thread thread;
  };
  void receive(Visit& visit) const noexcept;

  net::JobKey key_;
  net::Identity self_;
  std::function<void()> ring_;
  std::mutex mutex_;
  std::list<Visit> visits_;  ///< oldest first
};

}  // namespace trireme::ps
