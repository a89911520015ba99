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
    if (!std::exchange(visit.cut_off, true)) ::shutdown(visit.duplicate.descriptor(), SHUT_RDWR);
  }
  return false;
}

void Admissions::admit(const transport::SocketTransport& transport, net::Socket socket, Deadline deadline) {
  net::Socket duplicate(::fcntl(socket.descriptor(), F_DUPFD_CLOEXEC, 0));
  if (!duplicate.is_open()) fail_system("fcntl F_DUPFD_CLOEXEC", errno);
  Visit& visit = visits_.emplace_back();
  visit.guest.transport = transport.name();
  visit.socket = std::move(socket);
  visit.duplicate = std::move(duplicate);
  visit.since = Deadline::Clock::now();
  const Deadline until = Deadline::at(std::min(deadline.moment(), visit.since + patience));
  try {
    visit.thread = rendezvous::start_quiet_thread([this, &transport, &visit, until] {
      Guest& guest = visit.guest;
      try {
        std::tie(guest.peer, guest.link) = transport.admit(std::move(visit.socket), until, guest.refusal);
      } catch (const std::exception& exception) {
        guest.refusal = exception.what();
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
    guests.push_back(std::move(visit->guest));
    visit = visits_.erase(visit);
  }
  return guests;
}

}  // namespace trireme
