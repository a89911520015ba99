// SPDX-License-Identifier: Apache-2.0
#include "rendezvous/reception.hpp"

#include "rendezvous/quiet_thread.hpp"

#include <chrono>
#include <utility>

#include <sys/socket.h>

namespace trireme::rendezvous {
namespace {

constexpr std::chrono::seconds patience{10};
constexpr std::chrono::seconds courtesy{1};
constexpr std::size_t hello_limit = text_limit + 64;

}  // namespace

Reception::~Reception() {
  for (Visit& visit : visits_) ::shutdown(visit.guest.socket.descriptor(), SHUT_RDWR);
  for (Visit& visit : visits_) visit.thread.join();
}

bool Reception::has_room() {
  if (visits_.size() < most_guests) return true;
  std::size_t places = 0;
  for (Visit& visit : visits_) {
    if (places == most_guests / 4 || Deadline::Clock::now() - visit.since < courtesy) break;
    ++places;
    if (std::exchange(visit.cut_off, true)) continue;
    ::shutdown(visit.guest.socket.descriptor(), SHUT_RDWR);  // its thread finds the connection closed, and ends
  }
  return false;
}

void Reception::admit(net::Socket socket, std::string from) {
  Visit& visit = visits_.emplace_back();
  visit.guest.socket = std::move(socket);
  visit.guest.from = std::move(from);
  visit.since = Deadline::Clock::now();
  try {
    visit.thread = start_quiet_thread([this, &visit] {
      receive(visit.guest);
      std::lock_guard lock(mutex_);
      visit.done = true;
      bell_.ring();
    });
  } catch (...) {
    visits_.pop_back();
    throw;
  }
}

void Reception::receive(Guest& guest) const noexcept {
  try {
    Deadline deadline = Deadline::after(patience);
    net::set_stream_options(guest.socket);
    guest.identity = net::handshake_as_server(guest.socket, key_, self_, deadline);
    auto first = parse_client_message(net::receive_message(guest.socket, hello_limit, deadline));
    if (first && std::holds_alternative<Hello>(*first)) {
      guest.hello = std::get<Hello>(std::move(*first));
    } else {
      guest.problem = "its first message is not a greeting";
    }
  } catch (const std::exception& exception) {
    guest.problem = exception.what();
  }
}

std::vector<Reception::Guest> Reception::ready() {
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

}  // namespace trireme::rendezvous
