// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace trireme::testing {

/// From one point of a thorough search to the next: every one, or, under sanitizers, which take ten times as long and look for other
/// mistakes, every fourth.
#ifdef TRIREME_SANITIZED
inline constexpr std::size_t stride = 4;
#else
inline constexpr std::size_t stride = 1;
#endif

}  // namespace trireme::testing
