// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/platform/environment.hpp"

#include <optional>
#include <string>

namespace trireme::cli {

/// A program's file, or why there is none: exit code as shells give it (127 not found, 126 not executable).
struct Program {
  std::string path;
  int exit_code = 0;
  std::string problem;  ///< one line; empty when found
};

/// Looks `name` up as execvp(3) does: on PATH, unless it has a slash. A program named "trireme" that is not on PATH is
/// this very binary.
Program find_program(const std::string& name, const platform::Environment& environment);

}  // namespace trireme::cli
