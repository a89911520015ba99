// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace trireme::testing {

/// Calls of the heap and of pthread_mutex_lock, by any thread of this process, while armed. The program that links
/// forbidden_calls.cpp has its own malloc: not for builds with a sanitizer, which needs that place itself.
struct ForbiddenCalls {
  std::uint64_t heap = 0;
  std::uint64_t mutex = 0;
};

/// Starts counting from zero. Any thread; not from two at once.
void arm_forbidden_calls() noexcept;
/// Stops counting and says what was counted.
ForbiddenCalls disarm_forbidden_calls() noexcept;
/// Where the first counted call came from, as lines of addresses in this program (addr2line reads them).
std::string first_forbidden_call();

}  // namespace trireme::testing
