// SPDX-License-Identifier: Apache-2.0
// Elements whose type is known at run time, one at a time: what plain bodies read and write.
#pragma once

#include "kernels/device_formats.hpp"

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace trireme::kernels::on_device {

/// Rounds to odd: the value truncated, its last bit set when anything was lost. Rounding that once more to 16 or 8 bits gives
/// what a single rounding of `value` gives.
TRIREME_DEVICE float narrow_to_odd(double value) {
  const auto nearest = static_cast<float>(value);
  const auto back = static_cast<double>(nearest);
  auto bits = std::bit_cast<std::uint32_t>(nearest);
  bits -= std::fabs(back) > std::fabs(value) ? 1u : 0u;
  bits |= back != value ? 1u : 0u;
  return std::bit_cast<float>(bits);
}

/// `value`, f32 or f64, rounded once to the format; exact where it widens.
template <class Format, class T>
TRIREME_DEVICE typename Format::Raw round_to(T value) {
  if constexpr (std::is_same_v<typename Format::Value, T> || std::is_same_v<T, float>) {
    return Format::narrow(value);
  } else if constexpr (Format::dtype == DType::f32) {
    return static_cast<float>(value);
  } else {
    return Format::narrow(narrow_to_odd(value));
  }
}

template <class Format>
TRIREME_DEVICE typename Format::Value load_raw(const void* data, std::size_t index) {
  return Format::widen(static_cast<const typename Format::Raw*>(data)[index]);
}

/// Element `index` of an array of a floating type, as T: f64, or f32 where the type is no wider.
template <class T>
TRIREME_DEVICE T load_element(const void* data, DType dtype, std::size_t index) {
  switch (dtype) {
    case DType::f64: return static_cast<T>(load_raw<F64>(data, index));
    case DType::f16: return load_raw<F16>(data, index);
    case DType::bf16: return load_raw<BF16>(data, index);
    case DType::f8e4m3: return load_raw<F8E4M3>(data, index);
    case DType::f8e5m2: return load_raw<F8E5M2>(data, index);
    default: return load_raw<F32>(data, index);
  }
}

/// Rounds `value` once into element `index` of an array of a floating type.
template <class T>
TRIREME_DEVICE void store_element(void* data, DType dtype, std::size_t index, T value) {
  switch (dtype) {
    case DType::f64: static_cast<double*>(data)[index] = static_cast<double>(value); break;
    case DType::f16: static_cast<Float16*>(data)[index] = round_to<F16>(value); break;
    case DType::bf16: static_cast<BFloat16*>(data)[index] = round_to<BF16>(value); break;
    case DType::f8e4m3: static_cast<Float8E4M3*>(data)[index] = round_to<F8E4M3>(value); break;
    case DType::f8e5m2: static_cast<Float8E5M2*>(data)[index] = round_to<F8E5M2>(value); break;
    default: static_cast<float*>(data)[index] = round_to<F32>(value); break;
  }
}

}  // namespace trireme::kernels::on_device
