// SPDX-License-Identifier: Apache-2.0
#include "kernels/matmul/reference.hpp"

#include "kernels/cast/reference.hpp"

namespace trireme::kernels::reference {
namespace {

template <class T>
void multiply(const MatmulCall& call) noexcept {
  for (std::size_t i = 0; i < call.rows; ++i) {
    for (std::size_t j = 0; j < call.columns; ++j) {
      T sum = 0;
      for (std::size_t k = 0; k < call.inner; ++k) {
        sum += static_cast<T>(load(call.a, call.dtype, i * call.inner + k)) *
               static_cast<T>(load(call.b, call.dtype, k * call.columns + j));
      }
      store(call.c, call.dtype, i * call.columns + j, sum);
    }
  }
}

}  // namespace

void matmul(const MatmulCall& call) noexcept {
  call.dtype == DType::f64 ? multiply<double>(call) : multiply<float>(call);
}

}  // namespace trireme::kernels::reference
