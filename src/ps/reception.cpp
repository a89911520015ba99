// SPDX-License-Identifier: Apache-2.0
#include "ps/reception.hpp"

#include "ps/wire.hpp"
#include "rendezvous/quiet_thread.hpp"
#include "trireme/base/error.hpp"

#include <array>
#include <charconv>
#include <chrono>
#include <exception>
#include <utility>

#include <sys/socket.h>

namespace trireme::ps {
namespace {

constexpr std::chrono::seconds patience{10};
constexpr std::chrono::seconds courtesy{1};

/// A frame without a payload, read to its last byte and no further.
Control receive_control(const net::Socket& socket, Deadline deadline) {
  std::array<std::byte, FrameHead::size> bytes;
  net::receive_all(socket, bytes, deadline);
  const FrameHead head = parse_head(bytes, 0);
  std::vector<std::byte> control(head.control_bytes);
  net::receive_all(socket, control, deadline);
  return decode(control, 0);
}

}  // namespace

std::string Role::to_text() const { return (is_server ? "server/" : "worker/") + std::to_string(loop); }

std::optional<Role> Role::parse(const std::string& text) {
  Role role{.is_server = text.starts_with("server/")};
  if (!role.is_server && !text.starts_with("worker/")) return std::nullopt;
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data() + 7, end, role.loop);
  if (error != std::errc{} || stopped != end) return std::nullopt;
  return role;
}

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

void Reception::admit(net::Socket socket, std::string from, bool is_tcp) {
  Visit& visit = visits_.emplace_back();
  visit.guest.socket = std::move(socket);
  visit.guest.from = std::move(from);
  visit.is_tcp = is_tcp;
  visit.since = Deadline::Clock::now();
  try {
    visit.thread = rendezvous::start_quiet_thread([this, &visit] {
      receive(visit);
      std::lock_guard lock(mutex_);
      visit.done = true;
      ring_();
    });
  } catch (...) {
    visits_.pop_back();
    throw;
  }
}

void Reception::receive(Visit& visit) const noexcept {
  Guest& guest = visit.guest;
  try {
    const Deadline deadline = Deadline::after(patience);
    if (visit.is_tcp) net::set_stream_options(guest.socket);
    guest.identity = net::handshake_as_server(guest.socket, key_, self_, deadline);
    const auto role = Role::parse(guest.identity.role);
    if (!role) {
      guest.problem = "it is neither a worker nor a server";
      return;
    }
    guest.role = *role;
    if (!role->is_server) {
      Control first = receive_control(guest.socket, deadline);
      auto* join = std::get_if<Join>(&first);
      if (join == nullptr)
        guest.problem = "its first message does not join";
      else
        guest.join = std::move(*join);
    }
    // A worker that computes, or is stopped, reads nothing for as long as it likes; a dead host is found by silence.
    if (visit.is_tcp) net::let_stall(guest.socket);
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

}  // namespace trireme::ps
