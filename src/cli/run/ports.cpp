// SPDX-License-Identifier: Apache-2.0
#include "cli/run/ports.hpp"

#include "trireme/base/error.hpp"
#include "trireme/net/socket.hpp"

#include <charconv>
#include <string_view>

namespace trireme::cli {

std::optional<PortRange> port_range(const platform::Environment& environment) {
  const auto text = environment.find("TRIREME_PORT_RANGE");
  if (!text) return std::nullopt;
  const std::string_view view = *text;
  const auto parse = [](std::string_view part, std::uint16_t& port) {
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), port);
    return error == std::errc() && end == part.data() + part.size() && port != 0;
  };
  PortRange range;
  const auto dash = view.find('-');
  if (dash == std::string_view::npos || !parse(view.substr(0, dash), range.first) ||
      !parse(view.substr(dash + 1), range.last) || range.first > range.last)
    fail(ErrorCode::invalid_argument, "TRIREME_PORT_RANGE is '" + *text + "': give two ports, as in 40000-40100");
  return range;
}

void listen_in(const std::optional<PortRange>& range, const std::function<void(std::uint16_t)>& listen) {
  if (!range) return listen(0);
  for (std::uint16_t port = range->first;; ++port) {
    try {
      return listen(port);
    } catch (const Exception& exception) {
      if (port == range->last || exception.error().code != ErrorCode::invalid_argument) throw;
    }
  }
}

std::uint16_t free_port(const std::optional<PortRange>& range) {
  std::uint16_t found = 0;
  listen_in(range, [&](std::uint16_t port) { found = net::local_address(net::listen_tcp({"", port})).port; });
  return found;
}

}  // namespace trireme::cli
