// SPDX-License-Identifier: Apache-2.0
#include "kernels/matmul/matmul.hpp"

#include "kernels/matmul/simd.hpp"

#include <algorithm>
#include <cassert>

namespace trireme::kernels {
namespace {

template <class T>
void transpose_as(T* to, const T* from, std::size_t rows, std::size_t columns) noexcept {
  constexpr std::size_t block = 16;  // whole cache lines of both
  for (std::size_t r = 0; r < rows; r += block) {
    for (std::size_t c = 0; c < columns; c += block) {
      for (std::size_t i = r; i < std::min(r + block, rows); ++i) {
        for (std::size_t j = c; j < std::min(c + block, columns); ++j) to[j * rows + i] = from[i * columns + j];
      }
    }
  }
}

}  // namespace

void matmul(const MatmulCall& call, Isa isa) noexcept {
  assert(call.dtype == DType::f32 || call.dtype == DType::f64);
  switch (isa) {
    case Isa::avx512: return avx512::matmul(call);
    case Isa::avx2: return avx2::matmul(call);
    case Isa::portable: return portable::matmul(call);
  }
}

void transpose(void* to, const void* from, DType dtype, std::size_t rows, std::size_t columns) noexcept {
  if (dtype == DType::f64)
    return transpose_as(static_cast<double*>(to), static_cast<const double*>(from), rows, columns);
  transpose_as(static_cast<float*>(to), static_cast<const float*>(from), rows, columns);
}

}  // namespace trireme::kernels
