// SPDX-License-Identifier: Apache-2.0
#include "ps/reception.hpp"

#include "ps/wire.hpp"
#include "trireme/base/error.hpp"

#include <array>
#include <charconv>
#include <chrono>
#include <exception>
#include <utility>

namespace trireme::ps {
namespace {

constexpr std::chrono::seconds patience{10};

/// A frame without a payload, read to its last byte and no further.
Control receive_control(net::Connection& socket, Deadline deadline) {
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

void Reception::admit(net::Socket socket, std::string from, bool is_tcp) {
  visits_.admit(
      {.socket = net::Connection(std::move(socket)), .from = std::move(from)},
      [this, is_tcp](Guest& guest) { receive(guest, is_tcp); }, ring_);
}

void Reception::receive(Guest& guest, bool is_tcp) const noexcept {
  try {
    const Deadline deadline = Deadline::after(patience);
    if (is_tcp) net::set_stream_options(guest.socket.socket());
    net::SessionSecret secret;
    guest.identity = net::handshake_as_server(guest.socket.socket(), key_, self_, deadline, &secret);
    if (tls_) guest.socket.secure_as_server(secret, deadline);
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
    if (is_tcp) net::let_stall(guest.socket.socket());
  } catch (const std::exception& exception) {
    guest.problem = exception.what();
  }
}

}  // namespace trireme::ps
