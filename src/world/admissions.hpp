// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "rendezvous/doorbell.hpp"
#include "trireme/base/deadline.hpp"
#include "trireme/transport/transport.hpp"

#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace trireme {

/// Where connections of peers prove who they are. Handshakes block, and a stranger may say nothing at all: so each runs on a
/// short-lived thread, for at most 10 s and `most_guests` at once, and keeps nobody waiting.
/// Threads: all calls come from one thread.
class Admissions {
 public:
  struct Guest {
    std::string transport;
    int peer = -1;
    std::unique_ptr<transport::Link> link{};  ///< none, without a refusal: further connections of it are to come
    std::string refusal{};                    ///< why there is no link
    int dialled = -1;  ///< the rank this one has connected to, where it was not the guest who came
  };

  Admissions() = default;
  Admissions(const Admissions&) = delete;
  /// Cuts the connections of those who are not ready, and joins their threads.
  ~Admissions();

  /// Whether there is room for one more. If there is none, the oldest guests are cut off when they have taken more than a
  /// second; peers try again.
  bool has_room();
  /// Errors: system when no thread can be had.
  void admit(const transport::SocketTransport& transport, net::Socket socket, Deadline deadline);
  /// The same for a connection to `peer` that this rank has made.
  void introduce(const transport::SocketTransport& transport, int peer, net::Socket socket, Deadline deadline);
  /// Readable when a guest is ready.
  int descriptor() const { return bell_.descriptor(); }
  /// Those who are ready now. Only here a connection becomes part of a link, and only here is known that it was not cut off.
  std::vector<Guest> ready();

 private:
  static constexpr std::size_t most_guests = 64;
  struct Visit {
    Guest guest;
    std::unique_ptr<transport::Admission> admission;  ///< of a guest who came
    net::Socket socket;                               ///< until its thread takes it
    net::Socket duplicate;                            ///< to cut it off by
    Deadline::Clock::time_point since;
    bool cut_off = false;
    bool done = false;  ///< guarded by mutex_; from then on the guest is the owner's
    std::thread thread;
  };
  void begin(Guest guest, net::Socket socket, Deadline deadline,
             const std::function<void(Visit&, Deadline)>& handshake);

  rendezvous::Doorbell bell_;
  std::mutex mutex_;
  std::list<Visit> visits_;  ///< oldest first
};

}  // namespace trireme
