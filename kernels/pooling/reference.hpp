// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/pooling/pooling.hpp"

namespace trireme::kernels::reference {

// As the functions of pooling.hpp, one element after the other; equal in bits.
template <class T>
void mean_pool(T* y, const T* x, const PoolShape& shape);
template <class T>
void mean_pool_backward(T* dx, const T* dy, const PoolShape& shape);

}  // namespace trireme::kernels::reference
