// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace trireme::testing {

/// Calls of operator new, in every form, by any thread since the program started; under sanitizers of malloc and its
/// like too.
std::uint64_t heap_calls() noexcept;

}  // namespace trireme::testing
