// SPDX-License-Identifier: Apache-2.0
// How kernels of devices read and write elements of each type: the twin of formats.hpp.
#pragma once

#include "device/kernel.hpp"
#include "kernels/device_conversions.hpp"
#include "trireme/base/dtype.hpp"
#include "trireme/base/error.hpp"

#include <bit>
#include <cmath>
#include <cstdint>
#include <string>

namespace trireme::kernels::on_device {

// A format is: Raw, the element as stored; Value, what arithmetic works on; widen and narrow, each rounded once at most.

struct F64 {
  using Raw = double;
  using Value = double;
  static constexpr DType dtype = DType::f64;
  TRIREME_DEVICE static double widen(double raw) { return raw; }
  TRIREME_DEVICE static double narrow(double value) { return value; }
};

struct F32 {
  using Raw = float;
  using Value = float;
  static constexpr DType dtype = DType::f32;
  TRIREME_DEVICE static float widen(float raw) { return raw; }
  TRIREME_DEVICE static float narrow(float value) { return value; }
};

struct BF16 {
  using Raw = BFloat16;
  using Value = float;
  static constexpr DType dtype = DType::bf16;
  TRIREME_DEVICE static float widen(BFloat16 raw) { return to_float(raw); }
  TRIREME_DEVICE static BFloat16 narrow(float value) { return narrow_to_bfloat(value); }
};

struct F16 {
  using Raw = Float16;
  using Value = float;
  static constexpr DType dtype = DType::f16;
  TRIREME_DEVICE static float widen(Float16 raw) { return widen_half(raw); }
  TRIREME_DEVICE static Float16 narrow(float value) { return narrow_to_half(value); }
};

struct F8E4M3 {
  using Raw = Float8E4M3;
  using Value = float;
  static constexpr DType dtype = DType::f8e4m3;
  TRIREME_DEVICE static float widen(Float8E4M3 raw) { return to_float(raw); }
  TRIREME_DEVICE static Float8E4M3 narrow(float value) { return to_float8_e4m3(value); }
};

struct F8E5M2 {
  using Raw = Float8E5M2;
  using Value = float;
  static constexpr DType dtype = DType::f8e5m2;
  TRIREME_DEVICE static float widen(Float8E5M2 raw) { return to_float(raw); }
  TRIREME_DEVICE static Float8E5M2 narrow(float value) { return to_float8_e5m2(value); }
};

/// Calls `use(Format{})` with the format of a floating dtype.
template <class Use>
void with_floating_format(DType dtype, Use use) {
  switch (dtype) {
    case DType::f64: return use(F64{});
    case DType::f32: return use(F32{});
    case DType::f16: return use(F16{});
    case DType::bf16: return use(BF16{});
    case DType::f8e4m3: return use(F8E4M3{});
    case DType::f8e5m2: return use(F8E5M2{});
    default: fail(ErrorCode::invalid_argument, "a device kernel was asked for " + std::string(name_of(dtype)));
  }
}

}  // namespace trireme::kernels::on_device
