// SPDX-License-Identifier: Apache-2.0
// The loop in which a product of matrices spends its time. Included by gemm/simd.cpp only.
#pragma once

#include "kernels/gemm/ahead.hpp"
#include "kernels/gemm/registers.hpp"

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

/// A tile of C, held in registers over `depth` products: element (i, j) adds factor(i, k) * panel[k][j].
template <class T>
struct TileCall {
  const T* factors = nullptr;
  std::size_t factor_stride = 0;
  const T* panel = nullptr;
  std::size_t panel_stride = 0;
  std::size_t depth = 0;
  T* c = nullptr;
  std::size_t c_stride = 0;
  bool add = false;             ///< to what C holds, instead of overwriting it
  T* copy = nullptr;            ///< where the panel goes as it is read, row after row without gaps; null: nowhere
  ReadAhead<T> read_ahead{};    ///< of a later tile
  WriteAhead<T> write_ahead{};  ///< of C, where this one goes in the end
};

/// `by_rows`: factor(i, k) is factors[i][k], rows of `factor_stride` elements; else it is factors[k][i].
template <class T, std::size_t high, std::size_t wide, bool by_rows>
TRIREME_GEMM_TILE_ATTRIBUTES void tile(const TileCall<T>& call) noexcept {
  using L = Lanes<T>;
  using Register = typename L::Register;
  static_assert(high <= 12);  // three pointers reach all rows
  // How many steps come last, which go row by row.
  constexpr std::size_t spare = (L::registers - 1 - high * wide) / wide, last = spare < 3 ? spare : 3;
  static_assert(last > 0);
  Register sums[high][wide];
#pragma GCC unroll 16
  for (std::size_t i = 0; i < high; ++i) {
#pragma GCC unroll 2
    for (std::size_t w = 0; w < wide; ++w) sums[i][w] = L::zero();
  }
  T* copy = call.copy;
  const std::size_t stride = call.factor_stride, panel_stride = call.panel_stride;
  const T* factors = call.factors;
  const T* factors4 = factors + 4 * stride;
  const T* factors8 = factors + 8 * stride;
  const T* panel = call.panel;
  const auto multiply = [&]() __attribute__((always_inline)) TRIREME_GEMM_TILE_ATTRIBUTES {
    Register vectors[wide];
#pragma GCC unroll 2
    for (std::size_t w = 0; w < wide; ++w) vectors[w] = L::load(panel + w * L::lanes);
#pragma GCC unroll 16
    for (std::size_t i = 0; i < high; ++i) {
      const T* four = i < 4 ? factors : i < 8 ? factors4 : factors8;
      const Register factor = L::broadcast(by_rows ? four + (i % 4) * stride : factors + i);
#pragma GCC unroll 2
      for (std::size_t w = 0; w < wide; ++w) sums[i][w] = L::fma(factor, vectors[w], sums[i][w]);
    }
    if (copy != nullptr) {
#pragma GCC unroll 2
      for (std::size_t w = 0; w < wide; ++w) L::store(copy + w * L::lanes, vectors[w]);
      copy += wide * L::lanes;
      constexpr std::size_t ahead = 12;  // rows, which are far apart and which no hardware expects
      __builtin_prefetch(panel + ahead * panel_stride);
      __builtin_prefetch(panel + ahead * panel_stride + wide * L::lanes - 1);
    }
    panel += panel_stride;
    const std::size_t step = by_rows ? 1 : stride;
    factors += step;
    factors4 += step;
    factors8 += step;
  };
  WriteAhead<T> write_ahead = call.write_ahead;
  ReadAhead<T> read_ahead = call.read_ahead;
  const bool row_by_row = call.depth >= last && !call.add;
  std::size_t k = call.depth - (row_by_row ? last : 0);
  for (; write_ahead.count != 0 && k != 0; --k) {
    multiply();
    write_ahead.step();
  }
  for (; read_ahead.count != 0 && k != 0; --k) {
    multiply();
    read_ahead.step();
  }
  for (; k != 0; --k) multiply();
  T* c = call.c;
  const std::size_t c_stride = call.c_stride;
  if (!row_by_row) {
#pragma GCC unroll 16
    for (std::size_t i = 0; i < high; ++i) {
#pragma GCC unroll 2
      for (std::size_t w = 0; w < wide; ++w) {
        T* to = c + w * L::lanes;
        L::store(to, call.add ? L::add(L::load(to), sums[i][w]) : sums[i][w]);
      }
      c += c_stride;
    }
    return;
  }
  const auto store_row = [&](std::size_t i) __attribute__((always_inline)) TRIREME_GEMM_TILE_ATTRIBUTES {
#pragma GCC unroll 2
    for (std::size_t w = 0; w < wide; ++w) L::store(c + w * L::lanes, sums[i][w]);
    c += c_stride;
  };
  // The processor takes up a store in the time of three products, and where all come at once its products wait (5 % of a
  // depth of 64). So the rows end one after the other, each stored while the one after the next is multiplied.
  Register vectors[last][wide];
#pragma GCC unroll 3
  for (std::size_t s = 0; s < last; ++s) {
#pragma GCC unroll 2
    for (std::size_t w = 0; w < wide; ++w) vectors[s][w] = L::load(panel + s * panel_stride + w * L::lanes);
    if (copy != nullptr) {
#pragma GCC unroll 2
      for (std::size_t w = 0; w < wide; ++w) L::store(copy + (s * wide + w) * L::lanes, vectors[s][w]);
    }
  }
#pragma GCC unroll 16
  for (std::size_t i = 0; i < high; ++i) {
    const T* four = i < 4 ? factors : i < 8 ? factors4 : factors8;
#pragma GCC unroll 3
    for (std::size_t s = 0; s < last; ++s) {
      const Register factor = L::broadcast(by_rows ? four + (i % 4) * stride + s : factors + s * stride + i);
#pragma GCC unroll 2
      for (std::size_t w = 0; w < wide; ++w) sums[i][w] = L::fma(factor, vectors[s][w], sums[i][w]);
      if (i >= 2 && s == 0) {
        __asm__ volatile("" ::: "memory");  // here, and not where the compiler would gather them
        store_row(i - 2);
        __asm__ volatile("" ::: "memory");
      }
    }
  }
#pragma GCC unroll 2
  for (std::size_t i = high < 2 ? 0 : high - 2; i < high; ++i) store_row(i);
}

template <class T>
using TileFunction = void (*)(const TileCall<T>&) noexcept;

template <class T, std::size_t wide, bool by_rows>
TileFunction<T> tile_of_height(std::size_t high) noexcept {
#define TRIREME_GEMM_TILE(h) h <= Lanes<T>::high ? &tile<T, h <= Lanes<T>::high ? h : 1, wide, by_rows> : nullptr
  static constexpr TileFunction<T> functions[] = {TRIREME_GEMM_TILE(1),  TRIREME_GEMM_TILE(2),  TRIREME_GEMM_TILE(3),
                                                  TRIREME_GEMM_TILE(4),  TRIREME_GEMM_TILE(5),  TRIREME_GEMM_TILE(6),
                                                  TRIREME_GEMM_TILE(7),  TRIREME_GEMM_TILE(8),  TRIREME_GEMM_TILE(9),
                                                  TRIREME_GEMM_TILE(10), TRIREME_GEMM_TILE(11), TRIREME_GEMM_TILE(12)};
#undef TRIREME_GEMM_TILE
  return functions[high - 1];
}

/// The function for tiles of this many rows and registers (1 or 2).
template <class T>
TileFunction<T> tile_function(std::size_t high, std::size_t wide, bool by_rows) noexcept {
  if (wide == 2) return by_rows ? tile_of_height<T, 2, true>(high) : tile_of_height<T, 2, false>(high);
  return by_rows ? tile_of_height<T, 1, true>(high) : tile_of_height<T, 1, false>(high);
}

}  // namespace
}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
