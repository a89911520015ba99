// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace trireme {

/// How a collective would be done, and why.
struct Explanation {
  std::string algorithm;  ///< "direct", "recursive_doubling", "tree", "ring"; "shared_memory" for common memory
  std::string text;       ///< one line: the shape, the choice, the reason, and what else there was
  std::string engine{};   ///< who does it: "host", "mpi"; of device memory "nccl", or "device" (ours)
};

}  // namespace trireme
