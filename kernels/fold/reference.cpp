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

}  // namespace

void scale(void* destination, const void* source, DType source_dtype, double weight, std::size_t count) noexcept {
  fold_any(destination, source, source_dtype, weight, count, false);
}

void scale_add(void* destination, const void* source, DType source_dtype, double weight, std::size_t count) noexcept {
  fold_any(destination, source, source_dtype, weight, count, true);
}

}  // namespace trireme::kernels::reference
