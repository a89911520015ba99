// SPDX-License-Identifier: Apache-2.0
#include "kernels/cast/reference.hpp"

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

/// A binary floating type of 16 bits with `mantissa` stored bits: the nearest to `value`, ties to even, found by
/// scaling the quantum of the result to 1 and rounding to an integer, in f64, where every step is exact.
std::uint16_t round_to_16_bits(double value, int mantissa) noexcept {
  int exponent_bits = 15 - mantissa;
  int bias = (1 << (exponent_bits - 1)) - 1;
  auto sign = static_cast<std::uint16_t>(std::signbit(value) ? 0x8000 : 0);
  auto infinity = static_cast<std::uint16_t>(((1 << exponent_bits) - 1) << mantissa);
  if (std::isnan(value)) return static_cast<std::uint16_t>(sign | infinity | (1 << (mantissa - 1)));
  double magnitude = std::fabs(value);
  if (std::isinf(magnitude)) return static_cast<std::uint16_t>(sign | infinity);
  if (magnitude == 0) return sign;
  int exponent = std::ilogb(magnitude);
  if (exponent > bias) return static_cast<std::uint16_t>(sign | infinity);
  int smallest = 1 - bias;
  if (exponent < smallest) exponent = smallest;
  double quanta = std::nearbyint(std::ldexp(magnitude, mantissa - exponent));
  // Counting quanta from the smallest normal exponent runs over into the exponent field as it should, up to infinity.
  auto bits = static_cast<std::uint32_t>(quanta) + (static_cast<std::uint32_t>(exponent - smallest) << mantissa);
  return static_cast<std::uint16_t>(sign | bits);
}

}  // namespace

double load(const void* data, DType dtype, std::size_t index) noexcept {
  switch (dtype) {
    case DType::f64: return read<double>(data, index);
    case DType::f32: return read<float>(data, index);
    case DType::f16: return to_float(read<Float16>(data, index));
    case DType::bf16: return to_float(read<BFloat16>(data, index));
    default: return std::nan("");
  }
}

void store(void* data, DType dtype, std::size_t index, double value) noexcept {
  switch (dtype) {
    case DType::f64: write(data, index, value); break;
    case DType::f32: write(data, index, static_cast<float>(value)); break;
    case DType::f16: write(data, index, round_to_16_bits(value, 10)); break;
    case DType::bf16: write(data, index, round_to_16_bits(value, 7)); break;
    default: break;
  }
}

bool cast(void* destination, DType to, const void* source, DType from, std::size_t count) noexcept {
  if (to == from) {
    if (count != 0) std::memcpy(destination, source, count * size_of(to));
    return true;
  }
  if (!is_floating(to) || !is_floating(from) || size_of(to) < 2 || size_of(from) < 2) return false;
  for (std::size_t i = 0; i < count; ++i) store(destination, to, i, load(source, from, i));
  return true;
}

}  // namespace trireme::kernels::reference
