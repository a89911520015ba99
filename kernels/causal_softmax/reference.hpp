// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/causal_softmax/causal_softmax.hpp"

namespace trireme::kernels::reference {

// As the functions of causal_softmax.hpp with exp of the C library in f64; equal to a few units in the last place.
template <class T>
void causal_softmax(T* values, std::size_t length, T scale);
template <class T>
void causal_softmax_backward(T* gradient, const T* weights, std::size_t length, T scale);

}  // namespace trireme::kernels::reference
