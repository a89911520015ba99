// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace trireme::cli {

/// What this process may use of the machine.
struct Machine {
  int processors = 0;              ///< it may run on
  std::uint64_t memory_bytes = 0;  ///< physical, 0 when unknown
};

Machine describe_machine();

}  // namespace trireme::cli
