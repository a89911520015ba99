// SPDX-License-Identifier: Apache-2.0
#include "models/gemm.hpp"

#include <cblas.h>

#include <algorithm>

namespace trireme::models {
namespace {

CBLAS_TRANSPOSE transpose_of(Form form) { return form == Form::transposed ? CblasTrans : CblasNoTrans; }

/// The distance between stored rows, which BLAS wants to be at least 1.
blasint stride(Form form, std::size_t rows, std::size_t columns) {
  return static_cast<blasint>(std::max<std::size_t>(form == Form::transposed ? rows : columns, 1));
}

}  // namespace

void gemm(Form form_a, Form form_b, std::size_t m, std::size_t n, std::size_t k, const float* a, const float* b,
          float* c) noexcept {
  cblas_sgemm(CblasRowMajor, transpose_of(form_a), transpose_of(form_b), static_cast<blasint>(m),
              static_cast<blasint>(n), static_cast<blasint>(k), 1.0f, a, stride(form_a, m, k), b, stride(form_b, k, n),
              0.0f, c, stride(Form::plain, m, n));
}

void gemm(Form form_a, Form form_b, std::size_t m, std::size_t n, std::size_t k, const double* a, const double* b,
          double* c) noexcept {
  cblas_dgemm(CblasRowMajor, transpose_of(form_a), transpose_of(form_b), static_cast<blasint>(m),
              static_cast<blasint>(n), static_cast<blasint>(k), 1.0, a, stride(form_a, m, k), b, stride(form_b, k, n),
              0.0, c, stride(Form::plain, m, n));
}

void gemm(Form form_a, Form form_b, std::size_t m, std::size_t n, std::size_t k, Strided<const float> a,
          Strided<const float> b, Strided<float> c) noexcept {
  cblas_sgemm(CblasRowMajor, transpose_of(form_a), transpose_of(form_b), static_cast<blasint>(m),
              static_cast<blasint>(n), static_cast<blasint>(k), 1.0f, a.data, static_cast<blasint>(a.stride), b.data,
              static_cast<blasint>(b.stride), 0.0f, c.data, static_cast<blasint>(c.stride));
}

void gemm(Form form_a, Form form_b, std::size_t m, std::size_t n, std::size_t k, Strided<const double> a,
          Strided<const double> b, Strided<double> c) noexcept {
  cblas_dgemm(CblasRowMajor, transpose_of(form_a), transpose_of(form_b), static_cast<blasint>(m),
              static_cast<blasint>(n), static_cast<blasint>(k), 1.0, a.data, static_cast<blasint>(a.stride), b.data,
              static_cast<blasint>(b.stride), 0.0, c.data, static_cast<blasint>(c.stride));
}

}  // namespace trireme::models
