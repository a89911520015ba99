// SPDX-License-Identifier: Apache-2.0
// exp and log in plain arithmetic, so that every instruction set and every C library gives the same bits. Included by
// dense/simd.cpp and scalar/scalar.cpp only; see kernels/formats.hpp for why it is closed in itself.
#pragma once

#include "kernels/formats.hpp"

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

// ln 2 in two parts; the first has trailing zeros, so that its product with an exponent is exact.
inline constexpr double ln2_high = 0x1.62e42fefa3800p-1;
inline constexpr double ln2_low = 0x1.ef35793c76730p-45;

/// exp(x) for x <= 0, within 2 units in the last place; 0 below -708, where the result would soon be subnormal.
/// x = k ln 2 + r with |r| <= ln(2)/2; the Taylor polynomial of degree 13 is exact to 5e-18 there.
struct Exponential {
  static constexpr double of(double x) {
    constexpr double round_to_integer = 0x1.8p52;
    double shifted = x * 0x1.71547652b82fep+0 + round_to_integer;  // the integer k is now in the last bits
    double k = shifted - round_to_integer;
    double r = (x - k * ln2_high) - k * ln2_low;
    double p = 1.0 / 6227020800.0;
    p = p * r + 1.0 / 479001600.0;
    p = p * r + 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    double power = __builtin_bit_cast(double, (__builtin_bit_cast(std::uint64_t, shifted) + 1023u) << 52);
    return x < -708.0 ? 0.0 : p * power;
  }
};

/// log(x) for finite x >= 1, within 2 units in the last place; infinity and NaN are returned.
/// x = 2^e m with m between 1/sqrt(2) and sqrt(2); log m = 2 artanh(f), f = (m-1)/(m+1), |f| < 0.172.
struct Logarithm {
  static constexpr double of(double x) {
    if (!(x < __builtin_inf())) return x;
    auto bits = __builtin_bit_cast(std::uint64_t, x);
    auto e = static_cast<double>(static_cast<std::int64_t>(bits >> 52) - 1023);
    double m = __builtin_bit_cast(double, (bits & 0x000fffffffffffffu) | 0x3ff0000000000000u);
    if (m > 0x1.6a09e667f3bcdp+0) {
      m *= 0.5;
      e += 1.0;
    }
    double f = (m - 1.0) / (m + 1.0);
    double square = f * f;
    double p = 1.0 / 23.0;
    for (int n = 21; n >= 3; n -= 2) p = p * square + 1.0 / n;
    p = p * square;  // artanh(f) = f + f p
    return e * ln2_high + (2.0 * f + (2.0 * f * p + e * ln2_low));
  }
};

}  // namespace
}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
