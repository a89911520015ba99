// SPDX-License-Identifier: Apache-2.0
#include "kernels/dense/dense.hpp"

#include "kernels/dense/simd.hpp"

#include <cassert>

namespace trireme::kernels {

template <class T>
void add_bias(T* values, const T* bias, std::size_t rows, std::size_t columns, Isa isa) noexcept {
  isa >= Isa::avx2 ? avx2::add_bias(values, bias, rows, columns) : portable::add_bias(values, bias, rows, columns);
}

template <class T>
void add_bias_relu(T* values, const T* bias, std::size_t rows, std::size_t columns, Isa isa) noexcept {
  isa >= Isa::avx2 ? avx2::add_bias_relu(values, bias, rows, columns)
                   : portable::add_bias_relu(values, bias, rows, columns);
}

template <class T>
void relu_backward(T* dx, const T* dy, const T* activation, std::size_t count, Isa isa) noexcept {
  isa >= Isa::avx2 ? avx2::relu_backward(dx, dy, activation, count)
                   : portable::relu_backward(dx, dy, activation, count);
}

template <class T>
void column_sum(T* result, const T* matrix, std::size_t rows, std::size_t columns, Isa isa) noexcept {
  isa >= Isa::avx2 ? avx2::column_sum(result, matrix, rows, columns)
                   : portable::column_sum(result, matrix, rows, columns);
}

template <class T>
std::size_t softmax_cross_entropy(const SoftmaxCrossEntropyCall<T>& call, Isa isa) noexcept {
  assert(call.classes >= 1 && call.classes <= 256);
  return isa >= Isa::avx2 ? avx2::softmax_cross_entropy(call) : portable::softmax_cross_entropy(call);
}

template void add_bias(float*, const float*, std::size_t, std::size_t, Isa) noexcept;
template void add_bias(double*, const double*, std::size_t, std::size_t, Isa) noexcept;
template void add_bias_relu(float*, const float*, std::size_t, std::size_t, Isa) noexcept;
template void add_bias_relu(double*, const double*, std::size_t, std::size_t, Isa) noexcept;
template void relu_backward(float*, const float*, const float*, std::size_t, Isa) noexcept;
template void relu_backward(double*, const double*, const double*, std::size_t, Isa) noexcept;
template void column_sum(float*, const float*, std::size_t, std::size_t, Isa) noexcept;
template void column_sum(double*, const double*, std::size_t, std::size_t, Isa) noexcept;
template std::size_t softmax_cross_entropy(const SoftmaxCrossEntropyCall<float>&, Isa) noexcept;
template std::size_t softmax_cross_entropy(const SoftmaxCrossEntropyCall<double>&, Isa) noexcept;

}  // namespace trireme::kernels
