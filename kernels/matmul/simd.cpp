// SPDX-License-Identifier: Apache-2.0
#include "kernels/matmul/simd.hpp"

#include "kernels/formats.hpp"

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

/// A tile of C in registers: `high` rows of `wide` elements each, over all of the inner dimension.
template <class S, std::size_t high, std::size_t wide>
void tile(const MatmulCall& call, std::size_t row, std::size_t column) noexcept {
  using T = typename S::Value;
  const typename S::Raw* a = static_cast<const typename S::Raw*>(call.a) + row * call.inner;
  const typename S::Raw* b = static_cast<const typename S::Raw*>(call.b) + column;
  typename S::Raw* c = static_cast<typename S::Raw*>(call.c) + row * call.columns + column;
  const std::size_t inner = call.inner, columns = call.columns;
  T sums[high][wide] = {};
  for (std::size_t k = 0; k < inner; ++k) {
    for (std::size_t i = 0; i < high; ++i) {
      const T factor = a[i * inner + k];
      for (std::size_t j = 0; j < wide; ++j) sums[i][j] += factor * b[k * columns + j];
    }
  }
  for (std::size_t i = 0; i < high; ++i) {
    for (std::size_t j = 0; j < wide; ++j) c[i * columns + j] = sums[i][j];
  }
}

template <class S, std::size_t high>
void row_of_tiles(const MatmulCall& call, std::size_t row) noexcept {
  // Two registers of AVX2, or one of AVX-512.
  constexpr std::size_t wide = 64 / sizeof(typename S::Value);
  std::size_t column = 0;
  for (; column + wide <= call.columns; column += wide) tile<S, high, wide>(call, row, column);
  for (; column < call.columns; ++column) tile<S, high, 1>(call, row, column);
}

template <class S>
void multiply(const MatmulCall& call) noexcept {
  std::size_t row = 0;
  for (; row + 4 <= call.rows; row += 4) row_of_tiles<S, 4>(call, row);
  for (; row < call.rows; ++row) row_of_tiles<S, 1>(call, row);
}

}  // namespace

void matmul(const MatmulCall& call) noexcept { call.dtype == DType::f64 ? multiply<F64>(call) : multiply<F32>(call); }

}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
