// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdlib>
#include <initializer_list>
#include <vector>

namespace trireme::testing {

/// Whether a thorough search takes fewer points: under sanitizers, which take ten times as long and look for other mistakes, and
/// with TRIREME_THIN_TESTS set, for a build whose host code another build's tests have searched already.
#ifdef TRIREME_SANITIZED
inline const bool is_thin = true;
#else
inline const bool is_thin = std::getenv("TRIREME_THIN_TESTS") != nullptr;
#endif

/// From one point of a thorough search to the next: every one, or, where searches are thin, every fourth.
inline const std::size_t stride = is_thin ? 4 : 1;

/// The points of a thorough search: all, or, where searches are thin, those that take every path once.
template <class T>
std::vector<T> thinned(std::initializer_list<T> all, std::initializer_list<T> few) {
  return is_thin ? few : all;
}

}  // namespace trireme::testing
