// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/dense/dense.hpp"

namespace trireme::kernels::reference {

// As the functions of dense.hpp, one element after the other. Equal in bits, but for softmax_cross_entropy, which uses
// exp and log of the C library here and agrees to a few units in the last place.
template <class T>
void add_bias(T* values, const T* bias, std::size_t rows, std::size_t columns);
template <class T>
void add_bias_relu(T* values, const T* bias, std::size_t rows, std::size_t columns);
template <class T>
void relu_backward(T* dx, const T* dy, const T* activation, std::size_t count);
template <class T>
void column_sum(T* result, const T* matrix, std::size_t rows, std::size_t columns);
template <class T>
std::size_t softmax_cross_entropy(const SoftmaxCrossEntropyCall<T>& call);

}  // namespace trireme::kernels::reference
