// SPDX-License-Identifier: Apache-2.0
#include "kernels/isa.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace trireme::kernels {
namespace {

Isa detect() noexcept {
#if defined(__x86_64__)
  // The builtin asks the operating system too whether the wide registers are saved. F16C is not among the names that
  // every compiler's builtin knows.
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || __get_cpuid(1, &a, &b, &c, &d) == 0 ||
      (c & bit_F16C) == 0) {
    return Isa::portable;
  }
  const bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  return wide ? Isa::avx512 : Isa::avx2;
#else
  return Isa::portable;
#endif
}

}  // namespace

std::string_view name_of(Isa isa) noexcept {
  switch (isa) {
    case Isa::avx512: return "avx512";
    case Isa::avx2: return "avx2";
    case Isa::portable: break;
  }
  return "portable";
}

Isa best_isa() noexcept {
  static const Isa best = detect();
  return best;
}

}  // namespace trireme::kernels
