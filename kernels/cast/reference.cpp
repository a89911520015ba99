// SPDX-License-Identifier: Apache-2.0
#include "kernels/cast/reference.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace trireme::kernels::reference {
namespace {

template <class T>
T read(const void* data, std::size_t index) noexcept {
  T value;
  std::memcpy(&value, static_cast<const std::byte*>(data) + index * sizeof(T), sizeof(T));
  return value;
}

template <class T>
void write(void* data, std::size_t index, T value) noexcept {
  std::memcpy(static_cast<std::byte*>(data) + index * sizeof(T), &value, sizeof(T));
}

/// A binary floating type with `mantissa` of its `bits` bits stored as such.
struct Narrow {
  int bits;
  int mantissa;
  bool has_infinity = true;  ///< without: the largest pattern is the only NaN, and every exponent is of numbers
};

/// The pattern nearest to `value`, ties to even, found by scaling the quantum of the result to 1 and rounding to an
/// integer, in f64, where every step is exact.
std::uint32_t round_to(Narrow type, double value) noexcept {
  const int exponent_bits = type.bits - 1 - type.mantissa;
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const std::uint32_t sign = std::signbit(value) ? 1u << (type.bits - 1) : 0u;
  const std::uint32_t all_ones = (1u << (type.bits - 1)) - 1;
  const std::uint32_t nan = all_ones;
  const std::uint32_t beyond = type.has_infinity ? all_ones - ((1u << type.mantissa) - 1) : nan;
  if (std::isnan(value)) return sign | nan;
  const double magnitude = std::fabs(value);
  if (magnitude == 0) return sign;
  const int greatest = type.has_infinity ? bias : bias + 1;
  if (std::isinf(magnitude) || std::ilogb(magnitude) > greatest) return sign | beyond;
  const int smallest = 1 - bias;
  const int exponent = std::max(std::ilogb(magnitude), smallest);
  const double quanta = std::nearbyint(std::ldexp(magnitude, type.mantissa - exponent));
  // Counting quanta from the smallest normal exponent runs over into the exponent field as it should.
  const auto pattern =
      static_cast<std::uint32_t>(quanta) + (static_cast<std::uint32_t>(exponent - smallest) << type.mantissa);
  return sign | std::min(pattern, beyond);
}

}  // namespace

double load(const void* data, DType dtype, std::size_t index) noexcept {
  switch (dtype) {
    case DType::f64: return read<double>(data, index);
    case DType::f32: return read<float>(data, index);
    case DType::f16: return to_float(read<Float16>(data, index));
    case DType::bf16: return to_float(read<BFloat16>(data, index));
    case DType::f8e4m3: return to_float(read<Float8E4M3>(data, index));
    case DType::f8e5m2: return to_float(read<Float8E5M2>(data, index));
    default: return std::nan("");
  }
}

void store(void* data, DType dtype, std::size_t index, double value) noexcept {
  switch (dtype) {
    case DType::f64: write(data, index, value); break;
    case DType::f32: write(data, index, static_cast<float>(value)); break;
    case DType::f16: write(data, index, static_cast<std::uint16_t>(round_to({16, 10}, value))); break;
    case DType::bf16: write(data, index, static_cast<std::uint16_t>(round_to({16, 7}, value))); break;
    case DType::f8e4m3: write(data, index, static_cast<std::uint8_t>(round_to({8, 3, false}, value))); break;
    case DType::f8e5m2: write(data, index, static_cast<std::uint8_t>(round_to({8, 2}, value))); break;
    default: break;
  }
}

bool cast(void* destination, DType to, const void* source, DType from, std::size_t count) noexcept {
  if (to == from) {
    if (count != 0) std::memcpy(destination, source, count * size_of(to));
    return true;
  }
  if (!is_floating(to) || !is_floating(from)) return false;
  for (std::size_t i = 0; i < count; ++i) store(destination, to, i, load(source, from, i));
  return true;
}

}  // namespace trireme::kernels::reference
