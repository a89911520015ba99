// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <thread>

namespace trireme::cli {

/// A line of output as one JSON object on a line, with `severity` and `message` as Google's Cloud Logging reads them: a line that speaks
/// of a warning is one. Metric and result lines have their words once more as `metric` and `result`, numbers as numbers. A line that is
/// an object already stays as it is.
std::string json_log_line(std::string_view line);

/// Such a line of severity ERROR: why a job failed.
std::string json_error_line(std::string_view line);

/// While it lives, what this process writes to stdout and stderr comes out as such lines.
/// Threads: two of its own; made while no other thread writes.
class JsonLog {
 public:
  /// Errors: system.
  JsonLog();
  JsonLog(const JsonLog&) = delete;
  JsonLog& operator=(const JsonLog&) = delete;
  ~JsonLog();

 private:
  struct Stream {
    int descriptor;     ///< 1 or 2
    int original = -1;  ///< what that was
    std::thread reader{};
  };
  static void begin(Stream& stream);
  static void end(Stream& stream);

  Stream out_{1};
  Stream err_{2};
};

}  // namespace trireme::cli
