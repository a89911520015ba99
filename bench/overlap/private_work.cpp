// SPDX-License-Identifier: Apache-2.0
#include "bench/overlap/private_work.hpp"

namespace trireme::bench {

void PrivateWork::run(std::size_t passes) {
  for (std::size_t i = 0; i < passes; ++i) {
    for (float& value : values_) value = value * 0.999f + 0.001f;
    // The compiler must take every pass for observed.
    asm volatile("" : : "r"(values_.data()) : "memory");
  }
}

}  // namespace trireme::bench
