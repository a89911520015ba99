// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/device/runtime.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

// The functions of dense.hpp on device memory, with the same bits. They give the work to the queue and return.
namespace trireme::kernels {

template <class T>
void add_bias(T* values, const T* bias, std::size_t rows, std::size_t columns, device::Queue queue);
template <class T>
void add_bias_relu(T* values, const T* bias, std::size_t rows, std::size_t columns, device::Queue queue);
template <class T>
void relu_backward(T* dx, const T* dy, const T* activation, std::size_t count, device::Queue queue);
/// Cost: a block of threads per 32 columns: made for batches, not for a few columns of a million rows.
template <class T>
void column_sum(T* result, const T* matrix, std::size_t rows, std::size_t columns, device::Queue queue);

/// As SoftmaxCrossEntropyCall, all on the device; but for the prediction, which is not counted here.
template <class T>
struct DeviceSoftmaxCrossEntropyCall {
  const T* logits = nullptr;
  const std::uint8_t* labels = nullptr;
  std::size_t rows = 0;
  std::size_t classes = 0;
  double* losses = nullptr;  ///< rows; null when not wanted
  T* gradient = nullptr;     ///< may be the logits' own memory; null when not wanted
  std::uint8_t* hits =
      nullptr;  ///< rows: 1 where the greatest logit (the first of equals) is the label's, else 0; null when
                ///< not wanted
};
/// Cost: eight threads per row; each exponential is computed twice where the gradient is wanted.
template <class T>
void softmax_cross_entropy(const DeviceSoftmaxCrossEntropyCall<T>& call, device::Queue queue);

/// Appends the kernels of this folder, for Runtime::load().
void dense_kernels(std::vector<const device::KernelEntry*>& kernels);

}  // namespace trireme::kernels
