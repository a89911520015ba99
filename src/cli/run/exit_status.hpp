// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace trireme::cli {

/// How a process ended.
struct ExitStatus {
  int code = 0;    ///< exit code, when no signal ended it
  int signal = 0;  ///< the signal that ended it, or 0

  static ExitStatus from_wait(int wait_status);
  bool success() const { return code == 0 && signal == 0; }
  /// Ended with `expected`, 143 unless told otherwise, as a shell's after SIGTERM: the program has stopped before its end, in order,
  /// to go on another time.
  bool interrupted(int expected) const { return code == expected && signal == 0; }
  /// What a shell would report: the code, or 128 + signal.
  int shell_code() const { return signal != 0 ? 128 + signal : code; }
  /// "exit code 3", "killed by signal 9 (Killed)": what the control channel passes on.
  std::string detail() const;
  /// "ended with exit code 3", "was killed by signal 9 (Killed)": follows "rank 2".
  std::string sentence() const;
};

}  // namespace trireme::cli
