// SPDX-License-Identifier: Apache-2.0
#include "models/gemm.hpp"

#include "kernels/gemm/gemm.hpp"
#include "trireme/data/aligned_buffer.hpp"

namespace trireme::models {
namespace {

/// Where a product keeps copies of its operands. It says nothing from one call to the next, so whose it is cannot be seen:
/// one per thread serves all models, and stays in that core's cache.
void* workspace() {
  thread_local data::AlignedBuffer<std::byte> space;
  space.ensure(kernels::gemm_workspace_bytes);
  return space.data();
}

template <class T>
void product(Form form_a, Form form_b, std::size_t m, std::size_t n, std::size_t k, Strided<const T> a,
             Strided<const T> b, Strided<T> c) {
  kernels::gemm({.dtype = dtype_of<T>,
                 .m = m,
                 .n = n,
                 .k = k,
                 .a = {a.data, a.stride, form_a == Form::transposed},
                 .b = {b.data, b.stride, form_b == Form::transposed},
                 .c = c.data,
                 .c_stride = c.stride},
                workspace());
}

template <class T>
void dense_product(Form form_a, Form form_b, std::size_t m, std::size_t n, std::size_t k, const T* a, const T* b,
                   T* c) {
  product<T>(form_a, form_b, m, n, k, {a, form_a == Form::transposed ? m : k}, {b, form_b == Form::transposed ? k : n},
             {c, n});
}

}  // namespace

void gemm(Form form_a, Form form_b, std::size_t m, std::size_t n, std::size_t k, const float* a, const float* b,
          float* c) {
  dense_product(form_a, form_b, m, n, k, a, b, c);
}

void gemm(Form form_a, Form form_b, std::size_t m, std::size_t n, std::size_t k, const double* a, const double* b,
          double* c) {
  dense_product(form_a, form_b, m, n, k, a, b, c);
}

void gemm(Form form_a, Form form_b, std::size_t m, std::size_t n, std::size_t k, Strided<const float> a,
          Strided<const float> b, Strided<float> c) {
  product(form_a, form_b, m, n, k, a, b, c);
}

void gemm(Form form_a, Form form_b, std::size_t m, std::size_t n, std::size_t k, Strided<const double> a,
          Strided<const double> b, Strided<double> c) {
  product(form_a, form_b, m, n, k, a, b, c);
}

}  // namespace trireme::models
