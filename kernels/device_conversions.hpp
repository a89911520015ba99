// SPDX-License-Identifier: Apache-2.0
// Conversions for which GPUs have an instruction: the same numbers as those of base, without a branch. A NaN stays one, with
// bits of its own.
#pragma once

#include "device/kernel.hpp"
#include "trireme/base/half.hpp"

#include <cstdint>

namespace trireme::kernels::on_device {

TRIREME_DEVICE float widen_half(Float16 value) {
#if defined(__CUDA_ARCH__)
  float result;
  asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(value.bits));
  return result;
#else
  return to_float(value);
#endif
}

TRIREME_DEVICE Float16 narrow_to_half(float value) {
#if defined(__CUDA_ARCH__)
  Float16 result;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
  return result;
#else
  return to_float16(value);
#endif
}

TRIREME_DEVICE BFloat16 narrow_to_bfloat(float value) {
#if defined(__CUDA_ARCH__)
  BFloat16 result;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
  return result;
#else
  return to_bfloat16(value);
#endif
}

}  // namespace trireme::kernels::on_device
