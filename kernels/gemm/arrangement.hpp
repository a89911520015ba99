// SPDX-License-Identifier: Apache-2.0
// Which factor of a product is which. Included by gemm/simd.cpp only.
#pragma once

#include "kernels/gemm/gemm.hpp"
#include "kernels/gemm/registers.hpp"

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

inline constexpr std::size_t least(std::size_t a, std::size_t b) { return a < b ? a : b; }
inline constexpr std::size_t quotient_up(std::size_t a, std::size_t b) { return (a + b - 1) / b; }

/// One of the two sides of a product: `extent` rows or columns of C by all of k.
template <class T>
struct Side {
  const T* data = nullptr;
  std::size_t stride = 0;
  std::size_t extent = 0;
  bool by_rows = false;  ///< element (i, k) is data[i][k]; else data[k][i]

  const T* at(std::size_t i, std::size_t k) const { return by_rows ? data + i * stride + k : data + k * stride + i; }
};

/// Of one side, the vectors, registers are loaded; of the other, the factors, each element is broadcast.
template <class T>
struct Arrangement {
  Side<T> factors, vectors;
  T* c = nullptr;
  std::size_t c_stride = 0;
  bool turned = false;  ///< rows of C run along the factors
};

/// About how many instructions it takes: one per multiplied register, and what turning single elements costs.
template <class T>
std::size_t cost(const Side<T>& factors, const Side<T>& vectors, std::size_t k, bool turned) {
  std::size_t total = factors.extent * quotient_up(vectors.extent, Lanes<T>::lanes) * k;
  if (vectors.by_rows) total += vectors.extent * k / 3;
  if (turned) total += factors.extent * vectors.extent;
  return total;
}

/// The cheaper one. With few rows times a transposed weight the rows are turned, and the weight is read as it lies.
template <class T>
Arrangement<T> arrange(const GemmCall& call) {
  const Side<T> a{static_cast<const T*>(call.a.data), call.a.stride, call.m, !call.a.transposed};
  const Side<T> b{static_cast<const T*>(call.b.data), call.b.stride, call.n, call.b.transposed};
  const bool turned = cost(b, a, call.k, true) < cost(a, b, call.k, false);
  return {turned ? b : a, turned ? a : b, static_cast<T*>(call.c), call.c_stride, turned};
}

}  // namespace
}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
