// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/sparse_product/sparse_product.hpp"
#include "trireme/device/runtime.hpp"

#include <cstddef>
#include <vector>

// The functions of sparse_product.hpp on device memory, with the same bits: also the pointers of SparseMatrix are the
// device's. They give the work to the queue and return.
namespace trireme::kernels {

template <class T>
void sparse_product(T* y, const SparseMatrix& x, const T* w, std::size_t columns, device::Queue queue);

/// Shape: `stored` elements lie between the first offset and the last.
/// Cost:  a block of threads per stored element; that of an index's first one looks for the others behind it, in order: no
///        float atomics, and stored^2/2 comparisons at worst.
template <class T>
void sparse_product_backward(T* gradient, const SparseMatrix& x, std::size_t stored, const T* dy, std::size_t columns,
                             device::Queue queue);

/// Appends the kernels of this folder, for Runtime::load().
void sparse_product_kernels(std::vector<const device::KernelEntry*>& kernels);

}  // namespace trireme::kernels
