// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace trireme::models {

enum class Form : bool { plain, transposed };

/// C = op(A) op(B), overwriting C; op transposes or not. All row-major and dense: op(A) m x k, op(B) k x n, C m x n.
/// Shape:   m, n, k and every row length below 2^31; k = 0 writes zeros.
/// Threads: any number on different C; the library behind it keeps to the threads it was told.
void gemm(Form form_a, Form form_b, std::size_t m, std::size_t n, std::size_t k, const float* a, const float* b,
          float* c) noexcept;
void gemm(Form form_a, Form form_b, std::size_t m, std::size_t n, std::size_t k, const double* a, const double* b,
          double* c) noexcept;

}  // namespace trireme::models
