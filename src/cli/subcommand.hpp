// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/platform/environment.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace trireme::cli {

/// What a subcommand is given: "trireme NAME arguments…" and the environment as it was at the start.
struct Invocation {
  std::vector<std::string> arguments;
  platform::Environment environment;
};

/// One row of the table in main.cpp. `entry` returns the exit code; what it throws becomes one line on stderr and exit
/// code 2 (invalid_argument, unsupported, corrupt: the user's to mend) or 1.
struct Subcommand {
  std::string_view name;
  std::string_view summary;
  int (*entry)(const Invocation& invocation);
};

int run(const Invocation& invocation);
int train(const Invocation& invocation);
int perf(const Invocation& invocation);
int plan_mesh(const Invocation& invocation);
int doctor(const Invocation& invocation);
int entry(const Invocation& invocation);

}  // namespace trireme::cli
