// SPDX-License-Identifier: Apache-2.0
#include "platform/host_port.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <charconv>

namespace trireme::platform {
namespace {

bool is_plain(std::string_view host) {
  return !host.empty() && std::all_of(host.begin(), host.end(), [](unsigned char c) {
    return c > ' ' && c < 127 && c != '/' && c != '[' && c != ']' && c != ',' && c != ';';
  });
}

}  // namespace

HostPort parse_host_port(const std::string& text, const std::string& name) {
  const auto refuse = [&] { fail(ErrorCode::invalid_argument, name + "=" + text + ": expected host:port"); };
  HostPort result;
  std::string_view port;
  bool with_port = false;
  if (!text.empty() && text.front() == '[') {
    const auto close = text.find(']');
    if (close == std::string::npos) refuse();
    result.host = text.substr(1, close - 1);
    const std::string_view rest = std::string_view(text).substr(close + 1);
    with_port = !rest.empty();
    if (with_port && rest.front() != ':') refuse();
    if (with_port) port = rest.substr(1);
  } else {
    const auto colon = text.find(':');
    with_port = colon != std::string::npos && text.find(':', colon + 1) == std::string::npos;
    result.host = with_port ? text.substr(0, colon) : text;
    if (with_port) port = std::string_view(text).substr(colon + 1);
  }
  if (!is_plain(result.host)) refuse();
  if (with_port) {
    std::uint16_t number = 0;
    const auto [end, problem] = std::from_chars(port.data(), port.data() + port.size(), number);
    if (problem != std::errc{} || end != port.data() + port.size() || number == 0)
      fail(ErrorCode::invalid_argument, name + "=" + text + ": expected a port from 1 to 65535 behind the host");
    result.port = number;
  }
  return result;
}

std::vector<std::string> split_list(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const auto end = std::min(text.find(separator), text.size());
    std::string_view part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    while (!part.empty() && (part.front() == ' ' || part.front() == '\t')) part.remove_prefix(1);
    while (!part.empty() && (part.back() == ' ' || part.back() == '\t')) part.remove_suffix(1);
    if (!part.empty()) parts.emplace_back(part);
  }
  return parts;
}

void require_different(const std::vector<std::string>& hosts, const std::string& name) {
  std::vector<std::string> sorted = hosts;
  std::sort(sorted.begin(), sorted.end());
  const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
  if (twice != sorted.end())
    fail(ErrorCode::invalid_argument, name + ": " + *twice + " is there twice; expected every host once");
}

}  // namespace trireme::platform
