// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/subcommand.hpp"

namespace trireme::cli {

/// `trireme perf push_pull`: keys to parameter servers and back. Returns the exit code.
int push_pull(const Invocation& invocation);

}  // namespace trireme::cli
