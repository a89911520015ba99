// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "rendezvous/quiet_thread.hpp"
#include "trireme/base/deadline.hpp"
#include "trireme/net/socket.hpp"

#include <chrono>
#include <functional>
#include <list>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <sys/socket.h>

namespace trireme::rendezvous {

/// New connections that have to prove who they are, which blocks: each does on a short-lived thread, `most_guests` at once.
/// `Guest` has the connection as its member `socket`.
/// Threads: all calls come from one thread, the server's.
template <class Guest>
class Visits {
 public:
  Visits() = default;
  Visits(const Visits&) = delete;
  Visits& operator=(const Visits&) = delete;
  /// Cuts the connections of those who are not ready, and joins their threads.
  ~Visits() {
    for (Visit& visit : visits_) ::shutdown(visit.guest.socket.descriptor(), SHUT_RDWR);
    for (Visit& visit : visits_) visit.thread.join();
  }

  /// Whether there is room for one more. If there is none, the oldest guests are cut off when they have taken more than a
  /// second: silent connections must not keep honest ones out, who try again.
  bool has_room() {
    if (visits_.size() < most_guests) return true;
    std::size_t places = 0;
    for (Visit& visit : visits_) {
      if (places == most_guests / 4 || Deadline::Clock::now() - visit.since < courtesy) break;
      ++places;
      std::lock_guard lock(mutex_);
      // Who is done has a connection that is to be kept.
      if (visit.done || std::exchange(visit.cut_off, true)) continue;
      ::shutdown(visit.guest.socket.descriptor(), SHUT_RDWR);  // its thread finds the connection closed, and ends
    }
    return false;
  }

  /// `receive` hears the guest out and does not throw; then `ring` is called, both on the guest's thread.
  /// Errors: system when no thread can be had.
  void admit(Guest guest, std::function<void(Guest&)> receive, std::function<void()> ring) {
    Visit& visit = visits_.emplace_back();
    visit.guest = std::move(guest);
    visit.since = Deadline::Clock::now();
    try {
      visit.thread = start_quiet_thread([this, &visit, receive = std::move(receive), ring = std::move(ring)] {
        receive(visit.guest);
        std::lock_guard lock(mutex_);
        visit.done = true;
        ring();
      });
    } catch (...) {
      visits_.pop_back();
      throw;
    }
  }

  /// Those who are ready now.
  std::vector<Guest> ready() {
    std::vector<Guest> guests;
    for (auto visit = visits_.begin(); visit != visits_.end();) {
      {
        std::lock_guard lock(mutex_);
        if (!visit->done) {
          ++visit;
          continue;
        }
      }
      visit->thread.join();
      guests.push_back(std::move(visit->guest));
      visit = visits_.erase(visit);
    }
    return guests;
  }

 private:
  static constexpr std::size_t most_guests = 64;
  static constexpr std::chrono::seconds courtesy{1};
  struct Visit {
    Guest guest;
    Deadline::Clock::time_point since;
    bool cut_off = false;
    bool done = false;  ///< guarded by mutex_; from then on the guest is the server's
    std::thread thread;
  };

  std::mutex mutex_;
  std::list<Visit> visits_;  ///< oldest first
};

}  // namespace trireme::rendezvous
