// SPDX-License-Identifier: Apache-2.0
#include "rendezvous/reception.hpp"

#include <chrono>
#include <exception>
#include <utility>

namespace trireme::rendezvous {
namespace {

constexpr std::chrono::seconds patience{10};
constexpr std::size_t hello_limit = text_limit + 64;

}  // namespace

void Reception::admit(net::Socket socket, std::string from) {
  visits_.admit(
      {.socket = std::move(socket), .from = std::move(from)}, [this](Guest& guest) { receive(guest); },
      [this] { bell_.ring(); });
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

}  // namespace trireme::rendezvous
