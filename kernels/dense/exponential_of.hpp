// SPDX-License-Identifier: Apache-2.0
// exp in the arithmetic of the type it is asked for: f32 loops take eight elements where f64 would take four. Included by
// simd.cpp files only; see kernels/formats.hpp for why it is closed in itself.
#pragma once

#include "kernels/dense/exponential.hpp"

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

/// exp(x) for x <= 0 in T: f64 as Exponential; f32 within 2 units in the last place, 0 below -87, where the result would
/// soon be subnormal. x = k ln 2 + r with |r| <= ln(2)/2; the Taylor polynomial of degree 7 is exact to 6e-9 there.
template <class T>
struct ExponentialOf {
  static constexpr double of(double x) { return Exponential::of(x); }
};

template <>
struct ExponentialOf<float> {
  static constexpr float of(float x) {
    constexpr float round_to_integer = 0x1.8p23f;
    float shifted = x * 0x1.715476p+0f + round_to_integer;  // the integer k is now in the last bits
    float k = shifted - round_to_integer;
    float r = (x - k * 0x1.62e4p-1f) - k * 0x1.7f7d1cp-20f;  // ln 2 in two parts; k times the first is exact
    float p = 1.0f / 5040.0f;
    p = p * r + 1.0f / 720.0f;
    p = p * r + 1.0f / 120.0f;
    p = p * r + 1.0f / 24.0f;
    p = p * r + 1.0f / 6.0f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    float power = __builtin_bit_cast(float, (__builtin_bit_cast(std::uint32_t, shifted) + 127u) << 23);
    return x < -87.0f ? 0.0f : p * power;
  }
};

}  // namespace
}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
