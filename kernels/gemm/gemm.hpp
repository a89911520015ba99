// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/isa.hpp"
#include "trireme/base/dtype.hpp"

#include <cstddef>

namespace trireme::kernels {

/// A row-major matrix, maybe part of a wider one, as a factor: `stride` elements from one stored row to the next.
struct GemmFactor {
  const void* data = nullptr;
  std::size_t stride = 0;
  bool transposed = false;  ///< the factor is the transpose of what is stored
};

/// C = A*B, overwriting C.
/// Shape:     A m x k, B k x n, C m x n, apart from both; f32 or f64, elements aligned as their type, strides at least the
///            stored rows' lengths. Any of m, n, k may be 0; k = 0 writes zeros.
/// Order:     k is cut into blocks of `gemm_block`, the last one shorter. A block is the chain
///            sum = fma(a, b, sum) from +0 over its k in ascending order; an element of C is the first block, to which the
///            others are added in order. The same bits on every Isa, for any m, n, stride and alignment,
///            within a FloatEnvironment.
/// Cost:      2*m*n*k operations.
/// Workspace: `gemm_workspace_bytes` of the caller's, aligned to 64; what it holds before and after means nothing.
struct GemmCall {
  DType dtype = DType::f32;
  std::size_t m = 0;
  std::size_t n = 0;
  std::size_t k = 0;
  GemmFactor a{};
  GemmFactor b{};
  void* c = nullptr;
  std::size_t c_stride = 0;
};
void gemm(const GemmCall& call, void* workspace, Isa isa = best_isa()) noexcept;

inline constexpr std::size_t gemm_block = 1024;
inline constexpr std::size_t gemm_workspace_bytes = std::size_t{1800} << 10;

}  // namespace trireme::kernels
