// SPDX-License-Identifier: Apache-2.0
#include "trireme/base/log.hpp"

#include <array>
#include <string>

#include <unistd.h>

namespace trireme {
namespace {
constexpr std::array<std::string_view, 5> names{"debug", "info", "warning", "error", "off"};
}

std::string_view name_of(LogLevel level) noexcept { return names[static_cast<std::size_t>(level)]; }

bool parse_log_level(std::string_view name, LogLevel& level) noexcept {
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) {
      level = static_cast<LogLevel>(i);
      return true;
    }
  }
  return false;
}

Log stderr_log(LogLevel threshold) {
  return Log(threshold, [](LogLevel level, std::string_view line) {
    // One write per line, so that lines of several threads and ranks never mix.
    std::string text = "trireme ";
    text += name_of(level);
    text += ": ";
    text += line;
    text += '\n';
    [[maybe_unused]] auto written = ::write(STDERR_FILENO, text.data(), text.size());
  });
}

}  // namespace trireme
