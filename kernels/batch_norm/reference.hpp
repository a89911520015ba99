// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/batch_norm/batch_norm.hpp"

namespace trireme::kernels::reference {

// As the functions of batch_norm.hpp, one element after the other; equal in bits.
template <class T>
void column_moments(double* mean, double* squares, const T* x, std::size_t rows, std::size_t columns);
template <class T>
void normalise(const NormaliseCall<T>& call);
template <class T>
void derivative_sums(const DerivativeSumsCall<T>& call);
template <class T>
void normalise_backward(const NormaliseBackwardCall<T>& call);

}  // namespace trireme::kernels::reference
