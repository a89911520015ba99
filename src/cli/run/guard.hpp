// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/run/descriptor.hpp"

#include <sys/types.h>

namespace trireme::cli {

/// A process of its own session that outlives a killed launcher just long enough to kill the launcher's ranks with all
/// their descendants in the same process group. It holds the read end of a pipe whose write end only the launcher has:
/// end of file without a goodbye means that the launcher died.
class Guard {
 public:
  /// Forks: to be called before the process has threads. Errors: system.
  static Guard start();
  Guard(Guard&& other) noexcept;
  /// Says goodbye and reaps the guard.
  ~Guard();

  pid_t process() const { return process_; }
  void add(pid_t group) noexcept { tell(group); }
  /// The group is empty; its number may be somebody else's soon.
  void remove(pid_t group) noexcept { tell(-group); }

 private:
  Guard(pid_t process, Descriptor pipe) : process_(process), pipe_(std::move(pipe)) {}
  void tell(pid_t record) noexcept;
  pid_t process_;
  Descriptor pipe_;
};

}  // namespace trireme::cli
