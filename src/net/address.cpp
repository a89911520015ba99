// SPDX-License-Identifier: Apache-2.0
#include "net/quoted.hpp"
#include "trireme/base/error.hpp"
#include "trireme/net/socket.hpp"

#include <algorithm>
#include <charconv>

namespace trireme::net {
namespace {

[[noreturn]] void refuse(std::string_view text, const std::string& why) {
  fail(ErrorCode::invalid_argument,
       "address " + quoted(text) + " " + why + ": give 'host:port', or '[address]:port' for IPv6");
}

std::uint16_t parse_port(std::string_view text, std::string_view port) {
  if (port.empty()) refuse(text, "has no port");
  std::uint16_t value = 0;
  auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), value);
  if (error != std::errc{} || end != port.data() + port.size()) {
    refuse(text, "has the bad port " + quoted(port) + " (0 to 65535)");
  }
  return value;
}

}  // namespace

Address Address::parse(std::string_view text) {
  bool bad =
      std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == 0x7f; });
  if (bad) refuse(text, "holds white space or a control character");
  if (!text.empty() && text.front() == '[') {
    std::size_t close = text.find(']');
    if (close == std::string_view::npos) refuse(text, "has an unclosed bracket");
    std::string_view host = text.substr(1, close - 1);
    if (host.find(':') == std::string_view::npos) refuse(text, "has no IPv6 address inside its brackets");
    std::string_view rest = text.substr(close + 1);
    if (rest.empty()) refuse(text, "has no port");
    if (rest.front() != ':') refuse(text, "has something other than ':port' behind its bracket");
    return {std::string(host), parse_port(text, rest.substr(1))};
  }
  std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) refuse(text, "has no port");
  if (text.find(':', colon + 1) != std::string_view::npos) refuse(text, "has more than one ':' outside brackets");
  if (text.find_first_of("[]") != std::string_view::npos) refuse(text, "has a bracket inside its host");
  return {std::string(text.substr(0, colon)), parse_port(text, text.substr(colon + 1))};
}

std::string Address::to_string() const {
  bool is_v6 = host.find(':') != std::string::npos;
  return (is_v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

}  // namespace trireme::net
