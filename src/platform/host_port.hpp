// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::platform {

struct HostPort {
  std::string host;
  std::optional<std::uint16_t> port;
};

/// "host", "host:port" or "[v6]:port"; several colons without brackets are an address of version 6 alone.
/// Errors: invalid_argument "NAME=TEXT: expected …".
HostPort parse_host_port(const std::string& text, const std::string& name);

/// The parts between separators, without blanks around them; empty ones are left out.
std::vector<std::string> split_list(std::string_view text, char separator);

/// Errors: invalid_argument "NAME: HOST is there twice".
void require_different(const std::vector<std::string>& hosts, const std::string& name);

}  // namespace trireme::platform
