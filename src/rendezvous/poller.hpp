// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/deadline.hpp"
#include "trireme/base/error.hpp"

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include <sys/epoll.h>
#include <unistd.h>

namespace trireme::rendezvous {

/// Waits for many descriptors, each known by an id. Closing a descriptor takes it out.
class Poller {
 public:
  struct Event {
    std::uint64_t id = 0;
    bool readable = false;  ///< or ended, or broken: reading tells
    bool writable = false;
  };

  Poller() : descriptor_(::epoll_create1(EPOLL_CLOEXEC)) {
    if (descriptor_ < 0) fail_system("epoll_create1", errno);
  }
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;
  ~Poller() { ::close(descriptor_); }

  /// Watches `descriptor` for reading.
  void add(int descriptor, std::uint64_t id) { control(EPOLL_CTL_ADD, descriptor, id, true, false); }
  void change(int descriptor, std::uint64_t id, bool reads, bool writes) {
    control(EPOLL_CTL_MOD, descriptor, id, reads, writes);
  }

  /// What has happened, or nothing once `moment` has come.
  std::vector<Event> wait(std::optional<Deadline::Clock::time_point> moment) {
    std::array<epoll_event, 64> happened;
    int timeout_ms = moment ? Deadline::at(*moment).milliseconds_left(60'000) : -1;
    int count = ::epoll_wait(descriptor_, happened.data(), static_cast<int>(happened.size()), timeout_ms);
    if (count < 0 && errno != EINTR) fail_system("epoll_wait", errno);
    std::vector<Event> events;
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = happened[static_cast<std::size_t>(i)];
      events.push_back(
          {event.data.u64, (event.events & ~std::uint32_t{EPOLLOUT}) != 0, (event.events & EPOLLOUT) != 0});
    }
    return events;
  }

 private:
  void control(int operation, int descriptor, std::uint64_t id, bool reads, bool writes) {
    epoll_event event{};
    event.events = (reads ? EPOLLIN : 0u) | (writes ? EPOLLOUT : 0u);
    event.data.u64 = id;
    if (::epoll_ctl(descriptor_, operation, descriptor, &event) != 0) fail_system("epoll_ctl", errno);
  }

  int descriptor_;
};

}  // namespace trireme::rendezvous
