// SPDX-License-Identifier: Apache-2.0
#include "kernels/gemm/reference.hpp"

#include <algorithm>
#include <cmath>

namespace trireme::kernels::reference {
namespace {

template <class T>
T element(const GemmFactor& factor, std::size_t row, std::size_t column) noexcept {
  if (factor.transposed) std::swap(row, column);
  return static_cast<const T*>(factor.data)[row * factor.stride + column];
}

template <class T>
void multiply(const GemmCall& call) noexcept {
  for (std::size_t i = 0; i < call.m; ++i) {
    for (std::size_t j = 0; j < call.n; ++j) {
      T total = 0;
      for (std::size_t first = 0; first < call.k; first += gemm_block) {
        T sum = 0;
        for (std::size_t k = first; k < std::min(first + gemm_block, call.k); ++k) {
          sum = std::fma(element<T>(call.a, i, k), element<T>(call.b, k, j), sum);
        }
        total = first == 0 ? sum : total + sum;
      }
      static_cast<T*>(call.c)[i * call.c_stride + j] = total;
    }
  }
}

}  // namespace

void gemm(const GemmCall& call) noexcept { call.dtype == DType::f64 ? multiply<double>(call) : multiply<float>(call); }

}  // namespace trireme::kernels::reference
