// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace trireme::cli {

/// How a program ended and what it wrote.
struct Captured {
  int exit_code = -1;  ///< 128 + n for signal n; 127 when it could not be started
  bool timed_out = false;
  std::string out;
  std::string err;
};

/// Runs `command` (its first word is a path) in this process's environment and foreground group, so that Ctrl-C reaches
/// it, and waits for its end. It gets SIGTERM at `limit`, or when this process dies, and SIGKILL 5 s later.
/// Errors: system.
Captured run_captured(const std::vector<std::string>& command, std::chrono::seconds limit);

}  // namespace trireme::cli
