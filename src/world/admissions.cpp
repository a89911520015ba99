// SPDX-License-Identifier: Apache-2.0
#include "world/admissions.hpp"

#include "rendezvous/quiet_thread.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include <fcntl.h>
#include <sys/socket.h>

namespace trireme {
namespace {

constexpr std::chrono::seconds patience{10};
constexpr std::chrono::seconds courtesy{1};

}  // namespace

Admissions::~Admissions() {
  for (Visit& visit : visits_) ::shutdown(visit.duplicate.descriptor(), SHUT_RDWR);
  for (Visit& visit : visits_) visit.thread.join();
}

bool Admissions::has_room() {
  if (visits_.size() < most_guests) return true;
  std::size_t places = 0;
  for (Visit& visit : visits_) {
    if (places == most_guests / 4 || Deadline::Clock::now() - visit.since < courtesy) break;
    ++places;
    std::lock_guard lock(mutex_);
    if (visit.done || std::exchange(visit.cut_off, true)) continue;  // who is done has a connection that is to be kept
    ::shutdown(visit.duplicate.descriptor(), SHUT_RDWR);
  }
  return false;
}

void Admissions::admit(const transport::SocketTransport& transport, net::Socket socket, Deadline deadline) {
  begin({.transport = std::string(transport.name())}, std::move(socket), deadline,
        [&transport](Visit& visit, Deadline until) {
          visit.admission = transport.admit(std::move(visit.socket), until, visit.guest.refusal);
        });
}

void Admissions::introduce(const transport::SocketTransport& transport, int peer, net::Socket socket,
                           Deadline deadline) {
  begin({.transport = std::string(transport.name()), .dialled = peer}, std::move(socket), deadline,
        [&transport, peer](Visit& visit, Deadline until) {
          visit.guest.link = transport.introduce(peer, std::move(visit.socket), until);
          visit.guest.peer = peer;
        });
}

void Admissions::begin(Guest guest, net::Socket socket, Deadline deadline,
                       const std::function<void(Visit&, Deadline)>& handshake) {
  net::Socket duplicate(::fcntl(socket.descriptor(), F_DUPFD_CLOEXEC, 0));
  if (!duplicate.is_open()) fail_system("fcntl F_DUPFD_CLOEXEC", errno);
  Visit& visit = visits_.emplace_back();
  visit.guest = std::move(guest);
  visit.socket = std::move(socket);
  visit.duplicate = std::move(duplicate);
  visit.since = Deadline::Clock::now();
  const Deadline until = Deadline::at(std::min(deadline.moment(), visit.since + patience));
  try {
    visit.thread = rendezvous::start_quiet_thread([this, handshake, &visit, until] {
      try {
        handshake(visit, until);
      } catch (const std::exception& exception) {
        visit.guest.refusal = exception.what();
      }
      std::lock_guard lock(mutex_);
      visit.done = true;
      bell_.ring();
    });
  } catch (...) {
    visits_.pop_back();
    throw;
  }
}

std::vector<Admissions::Guest> Admissions::ready() {
  bell_.answer();
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
    Guest& guest = visit->guest;
    if (visit->cut_off) {  // it may have been done a moment later, with a connection that is of no use
      guest.link.reset();
      if (guest.refusal.empty()) guest.refusal = "others waited for its place for too long";
    } else if (visit->admission) {
      guest.peer = visit->admission->peer();
      try {
        guest.link = visit->admission->seat(guest.refusal);
      } catch (const Exception& exception) {  // one connection's trouble: the peer tries again
        guest.refusal = exception.error().message;
      }
    }
    guests.push_back(std::move(guest));
    visit = visits_.erase(visit);
  }
  return guests;
}

}  // namespace trireme
