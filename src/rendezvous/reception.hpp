// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "rendezvous/doorbell.hpp"
#include "rendezvous/protocol.hpp"
#include "trireme/net/handshake.hpp"
#include "trireme/net/job_key.hpp"
#include "trireme/net/socket.hpp"

#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace trireme::rendezvous {

/// Where new connections prove who they are: the handshake and the first message block, so each runs on a short-lived
/// thread, for at most 10 s and `most_guests` at once.
/// Threads: all calls come from one thread, the server's.
class Reception {
 public:
  struct Guest {
    net::Socket socket;
    std::string from;  ///< its address, for messages
    std::optional<net::Identity> identity{};
    std::optional<Hello> hello{};
    std::string problem{};  ///< why it must go; empty when identity and hello are there
  };

  /// Rings `bell` when a guest is ready.
  Reception(net::JobKey key, net::Identity self, Doorbell& bell) : key_(key), self_(std::move(self)), bell_(bell) {}
  /// Cuts the connections of those who are not ready, and joins their threads.
  ~Reception();

  /// Whether there is room for one more. If there is none, the oldest guests are cut off when they have taken more than a
  /// second: silent connections must not keep honest ones out, who try again.
  bool has_room();
  /// Errors: system when no thread can be had.
  void admit(net::Socket socket, std::string from);
  /// Those who are ready now.
  std::vector<Guest> ready();

 private:
  static constexpr std::size_t most_guests = 64;
  struct Visit {
    Guest guest;
    Deadline::Clock::time_point since;
    bool cut_off = false;
    bool done = false;  ///< guarded by mutex_; from then on the guest is the server's
    std::thread thread;
  };
  void receive(Guest& guest) const noexcept;

  net::JobKey key_;
  net::Identity self_;
  Doorbell& bell_;
  std::mutex mutex_;
  std::list<Visit> visits_;  ///< oldest first
};

}  // namespace trireme::rendezvous
