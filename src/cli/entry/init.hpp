// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

namespace trireme::cli {

/// What the first process of a container owes it: runs `work` in a child, hands it the signals meant for the container, reaps
/// whoever has lost its parent, and returns the child's exit code, 128 + n for signal n.
/// The child leads a process group of its own, the terminal's foreground one where this process was in that, so that no signal of the
/// keyboard reaches it twice; it dies with this process.
/// Called before the process has threads. Elsewhere than in process 1 it does the same for its own descendants.
/// `work` is called in the child and returns its exit code, or becomes another program.
/// Errors: system.
int run_as_init(const std::function<int()>& work);

}  // namespace trireme::cli
