// SPDX-License-Identifier: Apache-2.0
#include "models/gemm.hpp"

#include <Eigen/Core>

#include <utility>

namespace trireme::models {
namespace {

template <class T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

template <class T>
auto stored(Form form, std::size_t rows, std::size_t columns, const T* data) {
  if (form == Form::transposed) std::swap(rows, columns);
  return Eigen::Map<const Matrix<T>>(data, static_cast<Eigen::Index>(rows), static_cast<Eigen::Index>(columns));
}

template <class T>
void product(Form form_a, Form form_b, std::size_t m, std::size_t n, std::size_t k, const T* a_data, const T* b_data,
             T* c_data) noexcept {
  const auto a = stored(form_a, m, k, a_data);
  const auto b = stored(form_b, k, n, b_data);
  Eigen::Map<Matrix<T>> c(c_data, static_cast<Eigen::Index>(m), static_cast<Eigen::Index>(n));
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
  product(form_a, form_b, m, n, k, a, b, c);
}

void gemm(Form form_a, Form form_b, std::size_t m, std::size_t n, std::size_t k, const double* a, const double* b,
          double* c) noexcept {
  product(form_a, form_b, m, n, k, a, b, c);
}

}  // namespace trireme::models
