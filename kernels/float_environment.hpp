// SPDX-License-Identifier: Apache-2.0
#pragma once

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace trireme::kernels {

/// While it lives, this thread computes with the default floating-point environment (round to nearest even, subnormals
/// kept, exceptions masked), whatever the caller's code has set; then the caller's is restored. Without it a host
/// program that flushes subnormals would get other bits than one that does not.
/// Cost: two register moves on x86; elsewhere nothing is changed.
class FloatEnvironment {
 public:
#if defined(__SSE__)
  FloatEnvironment() noexcept : saved_(_mm_getcsr()) {
    if ((saved_ & ~status_flags) != defaults) _mm_setcsr(defaults);
  }
  ~FloatEnvironment() {
    if ((saved_ & ~status_flags) != defaults) _mm_setcsr(saved_);
  }

 private:
  static constexpr unsigned defaults = 0x1f80;
  static constexpr unsigned status_flags = 0x3f;
  unsigned saved_;
#else
  FloatEnvironment() noexcept {}
  ~FloatEnvironment() {}
#endif
 public:
  FloatEnvironment(const FloatEnvironment&) = delete;
  FloatEnvironment& operator=(const FloatEnvironment&) = delete;
};

}  // namespace trireme::kernels
