// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/isa.hpp"
#include "trireme/base/dtype.hpp"

#include <cstddef>
#include <span>

namespace trireme::kernels {

/// A tensor, and where it lies in the buffer: `count` elements from element `offset` on.
struct PackedTensor {
  void* data = nullptr;
  std::size_t count = 0;
  std::size_t offset = 0;
};

/// Arguments of pack() and unpack().
struct PackCall {
  void* buffer = nullptr;
  DType buffer_dtype = DType::f32;
  DType tensor_dtype = DType::f32;  ///< of all tensors
  std::span<const PackedTensor> tensors;
  double scale = 1.0;
};

/// buffer[offset_t + i] = round(A(tensor_t[i] * A(scale))) for every tensor t, A the accumulator of the tensors' type: as
/// scale(), then cast().
/// Shape:   floating types; tensors and their ranges of the buffer apart from each other; any alignment.
/// Order:   element by element: the same bits however a list is cut.
/// Threads: any; no state, no heap.
void pack(const PackCall& call, Isa isa = best_isa()) noexcept;

/// tensor_t[i] = round(B(buffer[offset_t + i] * B(scale))), B the accumulator of the buffer's type.
void unpack(const PackCall& call, Isa isa = best_isa()) noexcept;

}  // namespace trireme::kernels
