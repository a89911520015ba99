// SPDX-License-Identifier: Apache-2.0
// How two values combine. Included by reduce/simd.cpp only; see kernels/formats.hpp for why it is closed in itself.
#pragma once

#include "kernels/formats.hpp"
#include "kernels/reduce/simd.hpp"

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

template <class T>
struct Bits;
template <>
struct Bits<float> {
  using Unsigned = std::uint32_t;
  using Signed = std::int32_t;
  static constexpr Unsigned infinity = 0x7f800000u;
  static constexpr int sign_shift = 31;
};
template <>
struct Bits<double> {
  using Unsigned = std::uint64_t;
  using Signed = std::int64_t;
  static constexpr Unsigned infinity = 0x7ff0000000000000u;
  static constexpr int sign_shift = 63;
};

/// The smaller (or greater) in the total order -inf < … < -0 < +0 < … < inf; a NaN when either is one. On integers,
/// because the comparison instructions of floating types know neither rule.
template <class T, bool smaller>
T pick(T a, T b) {
  using U = typename Bits<T>::Unsigned;
  using S = typename Bits<T>::Signed;
  constexpr U magnitude = ~U{0} >> 1;
  U a_bits = __builtin_bit_cast(U, a);
  U b_bits = __builtin_bit_cast(U, b);
  S a_key = static_cast<S>(a_bits ^ (static_cast<U>(static_cast<S>(a_bits) >> Bits<T>::sign_shift) & magnitude));
  S b_key = static_cast<S>(b_bits ^ (static_cast<U>(static_cast<S>(b_bits) >> Bits<T>::sign_shift) & magnitude));
  U picked = (smaller ? a_key < b_key : a_key > b_key) ? a_bits : b_bits;
  picked = (b_bits & magnitude) > Bits<T>::infinity ? b_bits : picked;
  picked = (a_bits & magnitude) > Bits<T>::infinity ? a_bits : picked;
  return __builtin_bit_cast(T, picked);
}

/// Integers wrap: in unsigned types, to which those of signed types have the same bits.
struct Sum {
  static float of(float a, float b) { return a + b; }
  static double of(double a, double b) { return a + b; }
  static std::uint64_t of(std::uint64_t a, std::uint64_t b) { return a + b; }
  static std::uint32_t of(std::uint32_t a, std::uint32_t b) { return a + b; }
  static std::uint8_t of(std::uint8_t a, std::uint8_t b) {
    return static_cast<std::uint8_t>(unsigned{a} + unsigned{b});
  }
};

struct Product {
  static float of(float a, float b) { return a * b; }
  static double of(double a, double b) { return a * b; }
  static std::uint64_t of(std::uint64_t a, std::uint64_t b) { return a * b; }
  static std::uint32_t of(std::uint32_t a, std::uint32_t b) { return a * b; }
  static std::uint8_t of(std::uint8_t a, std::uint8_t b) {
    return static_cast<std::uint8_t>(unsigned{a} * unsigned{b});
  }
};

struct Min {
  static float of(float a, float b) { return pick<float, true>(a, b); }
  static double of(double a, double b) { return pick<double, true>(a, b); }
  template <class T>
  static T of(T a, T b) {
    return a < b ? a : b;
  }
};

struct Max {
  static float of(float a, float b) { return pick<float, false>(a, b); }
  static double of(double a, double b) { return pick<double, false>(a, b); }
  template <class T>
  static T of(T a, T b) {
    return a > b ? a : b;
  }
};

/// destination[i] = left[i] Op right[i]; the destination is apart from both or exactly one of them.
using Combine = void (*)(void* destination, const void* left, const void* right, std::size_t count);

template <class Op, class A, class L, class R>
void combine(void* destination, const void* left, const void* right, std::size_t count) {
  typename A::Raw* d = static_cast<typename A::Raw*>(destination);
  const typename L::Raw* l = static_cast<const typename L::Raw*>(left);
  const typename R::Raw* r = static_cast<const typename R::Raw*>(right);
  TRIREME_KERNELS_INDEPENDENT
  for (std::size_t i = 0; i < count; ++i) d[i] = Op::of(L::widen(l[i]), R::widen(r[i]));
}

/// The loops of one operation by the formats of the operands: [left is bf16][right is bf16]. Other narrow floats arrive
/// widened.
struct CombineTable {
  Combine loops[2][2];
};

template <class Op, class T>
CombineTable integer_table() {
  constexpr Combine loop = combine<Op, Integer<T>, Integer<T>, Integer<T>>;
  return {{{loop, loop}, {loop, loop}}};
}

template <class Op>
CombineTable floating_table(DType accumulator) {
  if (accumulator == DType::f64) {
    constexpr Combine loop = combine<Op, F64, F64, F64>;
    return {{{loop, loop}, {loop, loop}}};
  }
  return {{{combine<Op, F32, F32, F32>, combine<Op, F32, F32, BF16>},
           {combine<Op, F32, BF16, F32>, combine<Op, F32, BF16, BF16>}}};
}

/// Sum and Product.
template <class Op>
CombineTable wrapping_table(DType accumulator) {
  switch (accumulator) {
    case DType::i64:
    case DType::u64: return integer_table<Op, std::uint64_t>();
    case DType::i32:
    case DType::u32: return integer_table<Op, std::uint32_t>();
    case DType::i8:
    case DType::u8: return integer_table<Op, std::uint8_t>();
    default: return floating_table<Op>(accumulator);
  }
}

/// Min and Max. Of bools, 0 and 1, these are "all" and "any".
template <class Op>
CombineTable ordering_table(DType accumulator) {
  switch (accumulator) {
    case DType::i64: return integer_table<Op, std::int64_t>();
    case DType::u64: return integer_table<Op, std::uint64_t>();
    case DType::i32: return integer_table<Op, std::int32_t>();
    case DType::u32: return integer_table<Op, std::uint32_t>();
    case DType::i8: return integer_table<Op, std::int8_t>();
    case DType::u8:
    case DType::boolean: return integer_table<Op, std::uint8_t>();
    default: return floating_table<Op>(accumulator);
  }
}

/// bool knows two operations: a product is "all", and a sum, which the calls of users refuse, "any".
CombineTable combine_table(ReduceKind kind, DType accumulator) {
  const bool boolean = accumulator == DType::boolean;
  switch (kind) {
    case ReduceKind::min: return ordering_table<Min>(accumulator);
    case ReduceKind::max: return ordering_table<Max>(accumulator);
    case ReduceKind::product: return boolean ? ordering_table<Min>(accumulator) : wrapping_table<Product>(accumulator);
    default: return boolean ? ordering_table<Max>(accumulator) : wrapping_table<Sum>(accumulator);
  }
}

}  // namespace
}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
