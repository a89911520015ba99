// SPDX-License-Identifier: Apache-2.0
#include "tensor_parallel/product.hpp"

#include "kernels/gemm/gemm.hpp"
#include "trireme/base/dtype.hpp"

namespace trireme::tensor_parallel {

template <class T>
void product(Axis& axis, Form form_a, Form form_b, std::size_t m, std::size_t n, std::size_t k, const T* a, const T* b,
             T* c) {
  const bool turns_a = form_a == Form::transposed, turns_b = form_b == Form::transposed;
  kernels::gemm({.dtype = dtype_of<T>,
                 .m = m,
                 .n = n,
                 .k = k,
                 .a = {a, turns_a ? m : k, turns_a},
                 .b = {b, turns_b ? k : n, turns_b},
                 .c = c,
                 .c_stride = n},
                axis.scratch(Axis::Scratch::product, kernels::gemm_workspace_bytes));
}

template void product(Axis&, Form, Form, std::size_t, std::size_t, std::size_t, const float*, const float*, float*);
template void product(Axis&, Form, Form, std::size_t, std::size_t, std::size_t, const double*, const double*, double*);

}  // namespace trireme::tensor_parallel
