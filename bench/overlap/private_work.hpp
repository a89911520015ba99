// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

namespace trireme::bench {

/// Computation that needs nothing but a core: multiply-adds over 16 KiB that no other thread sees.
class PrivateWork {
 public:
  PrivateWork() : values_(4096, 1.0f) {}
  /// So many times over all values. In a file of its own: inlined, two callers would not run the same instructions.
  void run(std::size_t passes);

 private:
  std::vector<float> values_;
};

}  // namespace trireme::bench
