// SPDX-License-Identifier: Apache-2.0
#include "cli/run/exit_status.hpp"

#include <cstring>

#include <sys/wait.h>

namespace trireme::cli {

ExitStatus ExitStatus::from_wait(int wait_status) {
  if (WIFSIGNALED(wait_status)) return {0, WTERMSIG(wait_status)};
  return {WEXITSTATUS(wait_status), 0};
}

std::string ExitStatus::detail() const {
  if (signal == 0) return "exit code " + std::to_string(code);
  return "killed by signal " + std::to_string(signal) + " (" + ::strsignal(signal) + ")";
}

std::string ExitStatus::sentence() const { return (signal == 0 ? "ended with " : "was ") + detail(); }

}  // namespace trireme::cli
