// SPDX-License-Identifier: Apache-2.0
// Stores of several words at once. GPUs' compiler puts them together from neighbouring stores, but not every time.
#pragma once

#include "device/kernel.hpp"

#include <cstdint>
#include <cstring>

namespace trireme::kernels::on_device {

/// Shape: 1, 2 or 4 words of device memory, or of host memory that the device reaches; `to` aligned to all of them.
template <unsigned count>
TRIREME_DEVICE void store_words(void* to, const std::uint32_t (&words)[count]) {
  static_assert(count == 1 || count == 2 || count == 4);
#if defined(__CUDA_ARCH__)
  if constexpr (count == 4) {
    asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(to), "r"(words[0]), "r"(words[1]), "r"(words[2]),
                 "r"(words[3])
                 : "memory");
  } else if constexpr (count == 2) {
    asm volatile("st.global.v2.u32 [%0], {%1, %2};" ::"l"(to), "r"(words[0]), "r"(words[1]) : "memory");
  } else {
    *static_cast<std::uint32_t*>(to) = words[0];
  }
#else
  std::memcpy(to, words, sizeof words);
#endif
}

}  // namespace trireme::kernels::on_device
