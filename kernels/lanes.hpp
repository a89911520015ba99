// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

// Registers of 32 bytes for loops that the compiler does not vectorise by itself; where the instruction set has none of that
// size, it takes two. Values are never passed to functions: without AVX the calling convention has no room for them.
namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

template <class T>
struct Lanes;

template <>
struct Lanes<float> {
  static constexpr std::size_t count = 8;
  typedef float Values __attribute__((vector_size(32)));
  typedef std::int32_t Masks __attribute__((vector_size(32)));
  typedef float AnyValues __attribute__((vector_size(32), aligned(1), may_alias));
  typedef std::uint8_t AnyBytes __attribute__((vector_size(8), aligned(1), may_alias));
  /// Masks of 0 to 255 as bytes. Spelled out: the compiler's own conversion goes through eight scalars.
  static void store_bytes(std::uint8_t* to, const Masks& masks) {
    typedef std::uint8_t Parts __attribute__((vector_size(32)));
    const Parts parts = (Parts)masks;
    constexpr int b = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0 : 3;
    *reinterpret_cast<AnyBytes*>(to) =
        __builtin_shufflevector(parts, parts, b, b + 4, b + 8, b + 12, b + 16, b + 20, b + 24, b + 28);
  }
  /// Bytes as masks of 0 to 255.
  static void load_bytes(Masks& to, const std::uint8_t* from) {
    typedef std::uint8_t Parts __attribute__((vector_size(32)));
    typedef std::uint64_t Words __attribute__((vector_size(32)));
    std::uint64_t word;
    __builtin_memcpy(&word, from, sizeof word);
    const Parts parts = (Parts)(Words{} + word);
    if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) {
      to =
          (Masks)__builtin_shufflevector(parts, Parts{}, 0, 32, 32, 32, 1, 32, 32, 32, 2, 32, 32, 32, 3, 32, 32, 32,  //
                                         20, 32, 32, 32, 21, 32, 32, 32, 22, 32, 32, 32, 23, 32, 32, 32);
    } else {
      for (std::size_t i = 0; i < count; ++i) to[i] = from[i];
    }
  }
};

template <>
struct Lanes<double> {
  static constexpr std::size_t count = 4;
  typedef double Values __attribute__((vector_size(32)));
  typedef std::int64_t Masks __attribute__((vector_size(32)));
  typedef double AnyValues __attribute__((vector_size(32), aligned(1), may_alias));
  typedef std::uint8_t AnyBytes __attribute__((vector_size(4), aligned(1), may_alias));
  static void store_bytes(std::uint8_t* to, const Masks& masks) {
    typedef std::uint8_t Parts __attribute__((vector_size(32)));
    const Parts parts = (Parts)masks;
    constexpr int b = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0 : 7;
    *reinterpret_cast<AnyBytes*>(to) = __builtin_shufflevector(parts, parts, b, b + 8, b + 16, b + 24);
  }
  static void load_bytes(Masks& to, const std::uint8_t* from) {
    for (std::size_t i = 0; i < count; ++i) to[i] = from[i];
  }
};

}  // namespace
}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
