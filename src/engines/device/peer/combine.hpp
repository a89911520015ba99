// SPDX-License-Identifier: Apache-2.0
// How two values combine on a device: the twin of kernels/reduce/combine.hpp, with the same bits.
#pragma once

#include "device/kernel.hpp"
#include "kernels/device_formats.hpp"

#include <bit>
#include <cstdint>
#include <type_traits>

namespace trireme::engines::device::peer {

/// The format of an integer type; bool is u8, whose min and max are "all" and "any".
template <class T>
struct Integer {
  using Raw = T;
  using Value = T;
  TRIREME_DEVICE static T widen(T raw) { return raw; }
  TRIREME_DEVICE static T narrow(T value) { return value; }
};

/// Integers wrap: computed in unsigned types of at least 32 bits.
template <class T>
struct Wrapping {
  using Type = std::conditional_t<sizeof(T) < 4, std::uint32_t, std::make_unsigned_t<T>>;
};

struct Sum {
  template <class T>
  TRIREME_DEVICE static T of(T a, T b) {
    if constexpr (std::is_floating_point_v<T>) {
      return a + b;
    } else {
      using U = typename Wrapping<T>::Type;
      return static_cast<T>(static_cast<U>(a) + static_cast<U>(b));
    }
  }
};

struct Product {
  template <class T>
  TRIREME_DEVICE static T of(T a, T b) {
    if constexpr (std::is_floating_point_v<T>) {
      return a * b;
    } else {
      using U = typename Wrapping<T>::Type;
      return static_cast<T>(static_cast<U>(a) * static_cast<U>(b));
    }
  }
};

/// The smaller (or greater) in the total order -inf < … < -0 < +0 < … < inf; a NaN when either is one.
template <bool smaller>
struct Extreme {
  template <class T>
  TRIREME_DEVICE static T of(T a, T b) {
    if constexpr (std::is_floating_point_v<T>) {
      using S = std::conditional_t<sizeof(T) == 8, std::int64_t, std::int32_t>;
      using U = std::make_unsigned_t<S>;
      constexpr U magnitude = ~U{0} >> 1;
      const U a_bits = std::bit_cast<U>(a);
      const U b_bits = std::bit_cast<U>(b);
      const S a_key = static_cast<S>((a_bits >> (8 * sizeof(U) - 1)) != 0 ? a_bits ^ magnitude : a_bits);
      const S b_key = static_cast<S>((b_bits >> (8 * sizeof(U) - 1)) != 0 ? b_bits ^ magnitude : b_bits);
      if (a != a) return a;
      if (b != b) return b;
      return (smaller ? a_key < b_key : a_key > b_key) ? a : b;
    } else {
      return (smaller ? a < b : a > b) ? a : b;
    }
  }
};

}  // namespace trireme::engines::device::peer
