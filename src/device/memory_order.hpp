// SPDX-License-Identifier: Apache-2.0
// Words through which kernels of different devices, and the host, tell each other what is done. Never for numbers.
#pragma once

#include "device/kernel.hpp"

#include <cstdint>
#include <ctime>

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

/// Adds 1 and returns what was there; orders what is before and behind it, on one device.
TRIREME_DEVICE std::uint32_t fetch_increment(std::uint32_t* word) {
#if defined(__CUDA_ARCH__)
  std::uint32_t before;
  asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], 1;" : "=r"(before) : "l"(word) : "memory");
  return before;
#else
  return __atomic_fetch_add(word, 1u, __ATOMIC_ACQ_REL);
#endif
}

/// A clock for limits, in nanoseconds; its steps may be as coarse as a millisecond.
TRIREME_DEVICE std::uint64_t clock_ns() {
#if defined(__CUDA_ARCH__)
  std::uint64_t now;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now));
  return now;
#else
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000000000u + static_cast<std::uint64_t>(now.tv_nsec);
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
