// SPDX-License-Identifier: Apache-2.0
// Words through which kernels of different devices, and the host, tell each other what is done. Never for numbers.
#pragma once

#include "device/kernel.hpp"

#include <cstdint>

#include <sched.h>

namespace trireme::device {

/// What was written before is seen by whoever reads `value` with load_acquire, on any device or the host.
TRIREME_DEVICE void store_release(std::uint32_t* word, std::uint32_t value) {
#if defined(__CUDA_ARCH__)
  asm volatile("st.release.sys.global.u32 [%0], %1;" ::"l"(word), "r"(value) : "memory");
#else
  __atomic_store_n(word, value, __ATOMIC_RELEASE);
#endif
}

TRIREME_DEVICE std::uint32_t load_acquire(const std::uint32_t* word) {
#if defined(__CUDA_ARCH__)
  std::uint32_t value;
  asm volatile("ld.acquire.sys.global.u32 %0, [%1];" : "=r"(value) : "l"(word) : "memory");
  return value;
#else
  return __atomic_load_n(word, __ATOMIC_ACQUIRE);
#endif
}

/// Between two looks at a word that another kernel will write.
TRIREME_DEVICE void relax() {
#if defined(__CUDA_ARCH__)
  __nanosleep(64);
#else
  ::sched_yield();
#endif
}

}  // namespace trireme::device
