// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/float8.hpp"
#include "trireme/base/half.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace trireme {

/// The type of an element. Values are part of the wire format: never renumber.
enum class DType : std::uint8_t { f64, f32, f16, bf16, f8e4m3, f8e5m2, i64, i32, i8, u64, u32, u8, boolean };

inline constexpr int dtype_count = 13;

namespace detail {
struct DTypeTraits {
  std::string_view name;
  std::uint8_t size;
  bool floating;
  bool supported;
  DType accumulator;
};

inline constexpr std::array<DTypeTraits, dtype_count> dtype_traits{{
    {"f64", 8, true, true, DType::f64},
    {"f32", 4, true, true, DType::f32},
    {"f16", 2, true, true, DType::f32},
    {"bf16", 2, true, true, DType::f32},
    {"f8e4m3", 1, true, true, DType::f32},
    {"f8e5m2", 1, true, true, DType::f32},
    {"i64", 8, false, true, DType::i64},
    {"i32", 4, false, true, DType::i32},
    {"i8", 1, false, true, DType::i8},
    {"u64", 8, false, true, DType::u64},
    {"u32", 4, false, true, DType::u32},
    {"u8", 1, false, true, DType::u8},
    {"bool", 1, false, true, DType::boolean},
}};

constexpr const DTypeTraits& traits_of(DType dtype) noexcept { return dtype_traits[static_cast<std::size_t>(dtype)]; }
}  // namespace detail

/// Bytes of one element: a power of two.
constexpr std::size_t size_of(DType dtype) noexcept { return detail::traits_of(dtype).size; }

/// The short name: "f32", "bf16", "bool".
constexpr std::string_view name_of(DType dtype) noexcept { return detail::traits_of(dtype).name; }

/// The inverse of name_of. Returns false when `name` is none of them.
bool parse_dtype(std::string_view name, DType& dtype) noexcept;

constexpr bool is_floating(DType dtype) noexcept { return detail::traits_of(dtype).floating; }

/// The type in which contributions are added: f32 for floats of 16 and 8 bits, otherwise the type itself.
constexpr DType accumulator_of(DType dtype) noexcept { return detail::traits_of(dtype).accumulator; }

/// Whether collectives and kernels of this version take the type.
constexpr bool is_supported(DType dtype) noexcept { return detail::traits_of(dtype).supported; }

/// The DType of a C++ element type; only those listed have a value.
template <class T>
inline constexpr DType dtype_of = [] {
  static_assert(sizeof(T) == 0, "not an element type of Trireme");
  return DType::u8;
}();
template <>
inline constexpr DType dtype_of<double> = DType::f64;
template <>
inline constexpr DType dtype_of<float> = DType::f32;
template <>
inline constexpr DType dtype_of<Float16> = DType::f16;
template <>
inline constexpr DType dtype_of<BFloat16> = DType::bf16;
template <>
inline constexpr DType dtype_of<Float8E4M3> = DType::f8e4m3;
template <>
inline constexpr DType dtype_of<Float8E5M2> = DType::f8e5m2;
template <>
inline constexpr DType dtype_of<std::int64_t> = DType::i64;
template <>
inline constexpr DType dtype_of<std::int32_t> = DType::i32;
template <>
inline constexpr DType dtype_of<std::int8_t> = DType::i8;
template <>
inline constexpr DType dtype_of<std::uint64_t> = DType::u64;
template <>
inline constexpr DType dtype_of<std::uint32_t> = DType::u32;
template <>
inline constexpr DType dtype_of<std::uint8_t> = DType::u8;
template <>
inline constexpr DType dtype_of<bool> = DType::boolean;

}  // namespace trireme
