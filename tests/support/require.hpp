// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>
#include <string>

namespace trireme::testing {

/// For the bodies of ranks: Catch2's REQUIRE is for one thread, an exception reaches who started them.
inline void require(bool holds, const std::string& what) {
  if (!holds) throw std::logic_error(what);
}

}  // namespace trireme::testing
