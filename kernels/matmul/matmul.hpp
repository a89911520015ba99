// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/isa.hpp"
#include "trireme/base/dtype.hpp"

#include <cstddef>

namespace trireme::kernels {

/// C = A*B, all row-major and dense, for update rules that are defined on matrices; models take gemm.
/// Shape:  A rows x inner, B inner x columns, C rows x columns, apart from both; f32 or f64, any alignment.
/// Order:  each element of C adds its `inner` products from the first to the last, from +0, every product and sum rounded
///         on its own: the same bits on every Isa and for any blocking.
struct MatmulCall {
  DType dtype = DType::f32;
  void* c = nullptr;
  const void* a = nullptr;
  const void* b = nullptr;
  std::size_t rows = 0;
  std::size_t inner = 0;
  std::size_t columns = 0;
};
void matmul(const MatmulCall& call, Isa isa = best_isa()) noexcept;

/// The transpose of a dense row-major matrix: `to` is columns x rows, apart from `from`.
void transpose(void* to, const void* from, DType dtype, std::size_t rows, std::size_t columns) noexcept;

}  // namespace trireme::kernels
