// SPDX-License-Identifier: Apache-2.0
#include "kernels/fold/reference.hpp"

#include "kernels/cast/reference.hpp"

namespace trireme::kernels::reference {
namespace {

template <class A>
void fold(void* destination, const void* source, DType dtype, double weight, std::size_t count, bool add) noexcept {
  for (std::size_t i = 0; i < count; ++i) {
    A product = static_cast<A>(load(source, dtype, i)) * static_cast<A>(weight);
    A before = add ? static_cast<A>(load(destination, dtype_of<A>, i)) : A{};
    store(destination, dtype_of<A>, i, add ? before + product : product);
  }
}

void fold_any(void* destination, const void* source, DType dtype, double weight, std::size_t count, bool add) noexcept {
  dtype == DType::f64 ? fold<double>(destination, source, dtype, weight, count, add)
                      : fold<float>(destination, source, dtype, weight, count, add);
}

template <class A>
void fold_divide(void* destination, const void* source, DType dtype, double weight, double divisor,
                 std::size_t count) noexcept {
  for (std::size_t i = 0; i < count; ++i) {
    A product = static_cast<A>(load(source, dtype, i)) * static_cast<A>(weight);
    store(destination, dtype_of<A>, i, product / static_cast<A>(divisor));
  }
}

}  // namespace

void scale(void* destination, const void* source, DType source_dtype, double weight, std::size_t count) noexcept {
  fold_any(destination, source, source_dtype, weight, count, false);
}

void scale_add(void* destination, const void* source, DType source_dtype, double weight, std::size_t count) noexcept {
  fold_any(destination, source, source_dtype, weight, count, true);
}

void scale_divide(void* destination, const void* source, DType source_dtype, double weight, double divisor,
                  std::size_t count) noexcept {
  source_dtype == DType::f64 ? fold_divide<double>(destination, source, source_dtype, weight, divisor, count)
                             : fold_divide<float>(destination, source, source_dtype, weight, divisor, count);
}

}  // namespace trireme::kernels::reference
