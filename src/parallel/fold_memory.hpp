// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/tensor_view.hpp"
#include "trireme/comm/communicator.hpp"

#include <cstddef>
#include <memory>

namespace trireme::parallel {

/// The memory in which the gradients of leaves are folded, and the folding: by the processor in the arena, or by kernels given
/// to a stream in device memory. The same bits.
/// Shape: places are of this memory; dtypes f32 or f64, the accumulator of the source's.
class FoldMemory {
 public:
  virtual ~FoldMemory() = default;

  virtual std::byte* data() const = 0;
  /// `count` elements at `place`.
  virtual TensorView view(std::byte* place, std::size_t count, DType dtype) const = 0;

  /// See kernels::scale, scale_add and scale_divide. `to` may also be the source's own memory.
  virtual void scale(std::byte* to, const TensorView& source, double weight) = 0;
  virtual void scale_add(std::byte* to, const TensorView& source, double weight) = 0;
  virtual void scale_divide(std::byte* to, const TensorView& source, double weight, double divisor) = 0;
  /// left = left + right, one node of the fold's tree.
  virtual void add(std::byte* left, const std::byte* right, DType dtype, std::size_t count) = 0;
  /// The identity of addition, -0: x + -0 is x for every x, +0 and -0 included.
  virtual void fill_identity(std::byte* to, DType dtype, std::size_t count) = 0;
  virtual void fill_zero(std::byte* to, DType dtype, std::size_t count) = 0;
};

/// In `given`, or in arena memory of its own.
std::unique_ptr<FoldMemory> host_fold_memory(const Memory& arena, std::size_t bytes, std::span<std::byte> given);
/// On the communicator's device, given to `stream`. In `given`, if that is there; else in memory that is registered with the
/// communicator when the ranks are `alike`: all fold as much. Collective then.
std::unique_ptr<FoldMemory> device_fold_memory(Communicator communicator, std::size_t bytes, std::span<std::byte> given,
                                               Stream stream, bool alike);

}  // namespace trireme::parallel
