// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/tensor_parallel/axis.hpp"

#include <cstddef>

namespace trireme::tensor_parallel {

enum class Form : bool { plain, transposed };

/// C = op(A) op(B), overwriting C: kernels::gemm of dense row-major matrices, op(A) m x k, op(B) k x n.
template <class T>
void product(Axis& axis, Form form_a, Form form_b, std::size_t m, std::size_t n, std::size_t k, const T* a, const T* b,
             T* c);

extern template void product(Axis&, Form, Form, std::size_t, std::size_t, std::size_t, const float*, const float*,
                             float*);
extern template void product(Axis&, Form, Form, std::size_t, std::size_t, std::size_t, const double*, const double*,
                             double*);

}  // namespace trireme::tensor_parallel
