// SPDX-License-Identifier: Apache-2.0
#include "models/gemm.hpp"

#include <Eigen/Core>

#include <utility>

namespace trireme::models {
namespace {

template <class T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

template <class T>
using Stored = Eigen::Map<const Matrix<T>, Eigen::Unaligned, Eigen::OuterStride<>>;

template <class T>
Stored<T> stored(Form form, std::size_t rows, std::size_t columns, Strided<const T> matrix) {
  if (form == Form::transposed) std::swap(rows, columns);
  return {matrix.data, static_cast<Eigen::Index>(rows), static_cast<Eigen::Index>(columns),
          Eigen::OuterStride<>(static_cast<Eigen::Index>(matrix.stride))};
}

template <class T>
void product(Form form_a, Form form_b, std::size_t m, std::size_t n, std::size_t k, Strided<const T> a_part,
             Strided<const T> b_part, Strided<T> c_part) noexcept {
  const auto a = stored(form_a, m, k, a_part);
  const auto b = stored(form_b, k, n, b_part);
  Eigen::Map<Matrix<T>, Eigen::Unaligned, Eigen::OuterStride<>> c(
      c_part.data, static_cast<Eigen::Index>(m), static_cast<Eigen::Index>(n),
      Eigen::OuterStride<>(static_cast<Eigen::Index>(c_part.stride)));
  if (form_a == Form::plain && form_b == Form::plain) {
    c.noalias() = a * b;
  } else if (form_a == Form::plain) {
    c.noalias() = a * b.transpose();
  } else if (form_b == Form::plain) {
    c.noalias() = a.transpose() * b;
  } else {
    c.noalias() = a.transpose() * b.transpose();
  }
}

}  // namespace

void gemm(Form form_a, Form form_b, std::size_t m, std::size_t n, std::size_t k, const float* a, const float* b,
          float* c) noexcept {
  product<float>(form_a, form_b, m, n, k, {a, form_a == Form::transposed ? m : k},
                 {b, form_b == Form::transposed ? k : n}, {c, n});
}

void gemm(Form form_a, Form form_b, std::size_t m, std::size_t n, std::size_t k, const double* a, const double* b,
          double* c) noexcept {
  product<double>(form_a, form_b, m, n, k, {a, form_a == Form::transposed ? m : k},
                  {b, form_b == Form::transposed ? k : n}, {c, n});
}

void gemm(Form form_a, Form form_b, std::size_t m, std::size_t n, std::size_t k, Strided<const float> a,
          Strided<const float> b, Strided<float> c) noexcept {
  product(form_a, form_b, m, n, k, a, b, c);
}

void gemm(Form form_a, Form form_b, std::size_t m, std::size_t n, std::size_t k, Strided<const double> a,
          Strided<const double> b, Strided<double> c) noexcept {
  product(form_a, form_b, m, n, k, a, b, c);
}

}  // namespace trireme::models
