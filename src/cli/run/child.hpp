// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/run/descriptor.hpp"
#include "cli/run/signals.hpp"
#include "trireme/platform/environment.hpp"

#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace trireme::cli {

/// A program to start in a process group of its own.
struct ChildProgram {
  std::string path;
  std::vector<std::string> command;  ///< argv, beginning with the name
  platform::Environment environment;
  std::optional<int> processor;  ///< the only one it may run on
};

struct Child {
  pid_t process = -1;  ///< also its group
  Descriptor out;      ///< read ends of its stdout and stderr
  Descriptor err;
  int exec_error = 0;  ///< errno when the program could not be started; the process is gone then
};

/// Starts `program` with stdin from /dev/null; the kernel kills it when the calling thread ends.
/// Errors: system when there are no more processes or descriptors.
Child start_child(const ChildProgram& program, const SignalWatch& signals);

}  // namespace trireme::cli
