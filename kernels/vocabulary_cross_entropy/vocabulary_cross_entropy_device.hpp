// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/vocabulary_cross_entropy/vocabulary_cross_entropy.hpp"
#include "trireme/device/runtime.hpp"

#include <vector>

namespace trireme::kernels {

// The functions of vocabulary_cross_entropy.hpp on device memory, with the same bits. They give the work to the queue and return.
// Cost: a block of threads per row. Of row_exponentials the eight lanes of a row's sum are a chain of additions each, which is
//       its latency.

template <class T>
void row_maxima(T* greatest, const T* logits, std::size_t rows, std::size_t columns, device::Queue queue);
template <class T>
void row_exponentials(T* values, double* sums, const T* shift, std::size_t rows, std::size_t columns,
                      device::Queue queue);
template <class T>
void scale_rows(T* values, const double* factors, std::size_t rows, std::size_t columns, device::Queue queue);

/// Appends the kernels of this folder, for Runtime::load().
void vocabulary_cross_entropy_kernels(std::vector<const device::KernelEntry*>& kernels);

}  // namespace trireme::kernels
