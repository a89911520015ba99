// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string_view>

namespace trireme {

enum class LogLevel : unsigned char { debug, info, warning, error, off };

std::string_view name_of(LogLevel level) noexcept;
bool parse_log_level(std::string_view name, LogLevel& level) noexcept;

/// Where the library writes its lines: a cheap value passed down to whoever logs. Default-constructed, it is silent.
/// Threads: the sink may be called from any thread of the library, one line at a time per call.
class Log {
 public:
  using Sink = std::function<void(LogLevel, std::string_view line)>;

  Log() = default;
  Log(LogLevel threshold, Sink sink) : threshold_(threshold), sink_(std::make_shared<const Sink>(std::move(sink))) {}

  bool enabled(LogLevel level) const { return sink_ != nullptr && level >= threshold_; }
  void operator()(LogLevel level, std::string_view line) const {
    if (enabled(level)) (*sink_)(level, line);
  }

 private:
  LogLevel threshold_ = LogLevel::off;
  std::shared_ptr<const Sink> sink_;
};

/// One line per call to stderr, "trireme <level>: <line>"; what a World uses unless told otherwise.
Log stderr_log(LogLevel threshold);

}  // namespace trireme
