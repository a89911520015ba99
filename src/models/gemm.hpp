// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace trireme::models {

enum class Form : bool { plain, transposed };

/// C = op(A) op(B), overwriting C; op transposes or not. All row-major and dense: op(A) m x k, op(B) k x n, C m x n.
/// Shape:   any; k = 0 writes zeros.
/// Order:   that of kernels::gemm: the same bits on every processor, for any m, n, stride and alignment.
/// Memory:  each thread keeps kernels::gemm_workspace_bytes from its first product on; no later call takes any. Where
///          there is none for it, that first product throws std::bad_alloc.
/// Threads: any number on different C.
void gemm(Form form_a, Form form_b, std::size_t m, std::size_t n, std::size_t k, const float* a, const float* b,
          float* c);
void gemm(Form form_a, Form form_b, std::size_t m, std::size_t n, std::size_t k, const double* a, const double* b,
          double* c);

/// A dense row-major matrix inside a wider one: `stride` elements from one stored row to the next.
template <class T>
struct Strided {
  T* data = nullptr;
  std::size_t stride = 0;
};

/// The same product of parts of wider matrices: the heads of an attention layer lie side by side.
/// Shape:   strides at least the stored rows' lengths; C apart from A and B.
void gemm(Form form_a, Form form_b, std::size_t m, std::size_t n, std::size_t k, Strided<const float> a,
          Strided<const float> b, Strided<float> c);
void gemm(Form form_a, Form form_b, std::size_t m, std::size_t n, std::size_t k, Strided<const double> a,
          Strided<const double> b, Strided<double> c);

}  // namespace trireme::models
