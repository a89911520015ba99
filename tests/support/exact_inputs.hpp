// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/float8.hpp"
#include "trireme/base/half.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

namespace trireme::testing {

/// Floating types narrower than f32: kept as bits, computed with as f32.
template <class T>
inline constexpr bool is_narrow = std::is_same_v<T, Float16> || std::is_same_v<T, BFloat16> ||
                                  std::is_same_v<T, Float8E4M3> || std::is_same_v<T, Float8E5M2>;

/// A value a test can count on: T from a double, and back.
template <class T>
T from_double(double value) {
  if constexpr (std::is_same_v<T, Float16>) {
    return to_float16(static_cast<float>(value));
  } else if constexpr (std::is_same_v<T, BFloat16>) {
    return to_bfloat16(static_cast<float>(value));
  } else if constexpr (std::is_same_v<T, Float8E4M3>) {
    return to_float8_e4m3(static_cast<float>(value));
  } else if constexpr (std::is_same_v<T, Float8E5M2>) {
    return to_float8_e5m2(static_cast<float>(value));
  } else if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(static_cast<std::int64_t>(value));  // integers wrap, as their sums do
  } else {
    return static_cast<T>(value);
  }
}
template <class T>
double to_double(T value) {
  if constexpr (is_narrow<T>) {
    return static_cast<double>(to_float(value));
  } else {
    return static_cast<double>(value);
  }
}
template <class T>
bool same_bits(const T& a, const T& b) {
  if constexpr (is_narrow<T>) {
    return a.bits == b.bits;
  } else if constexpr (std::is_floating_point_v<T>) {
    using Bits = std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>;
    return std::bit_cast<Bits>(a) == std::bit_cast<Bits>(b);
  } else {
    return a == b;
  }
}

inline std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/// Small integers, 0 to 3: sums and products of a few stay exact in every type.
template <class T>
T exact_value(int rank, std::size_t element) {
  return from_double<T>(static_cast<double>(mix(static_cast<std::uint64_t>(rank) * 1000003u + element) % 4));
}

/// Values whose sum depends on the brackets: mantissas full, magnitudes over twelve binary orders, both signs.
template <class T>
T rough_value(int rank, std::size_t element) {
  const auto bits = mix(static_cast<std::uint64_t>(rank) * 7919u + element * 31u + 5u);
  const double mantissa = 1.0 + static_cast<double>(bits >> 12) * 0x1p-52;
  const double scale = static_cast<double>(1u << (bits % 12));
  return from_double<T>(((bits >> 8) & 1u ? -1.0 : 1.0) * mantissa * scale / 64.0);
}

}  // namespace trireme::testing
