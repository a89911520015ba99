// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/work.hpp"
#include "trireme/tensor_parallel/axis.hpp"
#include "trireme/tensor_parallel/split.hpp"

#include <cstddef>
#include <string>

namespace trireme::tensor_parallel {

struct ColumnParallelLinearOptions {
  std::size_t inputs = 0;
  std::size_t outputs = 0;
  std::size_t segments =
      1;                 ///< outputs are so many pieces of equal size, each shared by itself: 3 for a fused q, k and v
  std::size_t unit = 1;  ///< outputs of a segment that stay together: the channels of a head
};

/// y = x W^T + b, of which each rank of an axis has some outputs and the rows of W and b that belong to them: a linear layer
/// from replicated to sharded. Before it the input is replicated, or shared by positions (sequence parallel); behind it every
/// rank goes on with its outputs alone.
/// Shape:   W {outputs, inputs} and b {outputs} of this rank's rows: weight(), bias(). b may be null, then db, too. T is
///          float or double.
/// Order:   an output's bits are those of the dense layer; the gradient of the input is the ranks' parts summed in canonical
///          order, so it differs from the dense one by rounding.
/// Cost:    forward nothing sent (from positions: an all_gather of x), backward an all_reduce of dx beside the product that makes
///          dW (to positions: a reduce_scatter).
/// Threads, errors: as Axis and conjugate.hpp.
/// Source:  Shoeybi et al., Megatron-LM, 2019 (arXiv 1909.08053).
template <class T>
class ColumnParallelLinear {
 public:
  /// `name`: of the layer, for errors. Errors: invalid_argument naming it for segments or units that do not divide.
  ColumnParallelLinear(Axis& axis, std::string name, const ColumnParallelLinearOptions& options);

  Split weight() const { return {options_.segments, segment(), options_.inputs, options_.unit}; }
  Split bias() const { return {options_.segments, segment(), 1, options_.unit}; }
  /// Of the outputs of `rows` rows: what sharded_to_replicated() takes to gather them.
  Split output(std::size_t rows) const { return {rows * options_.segments, segment(), 1, options_.unit}; }
  /// Of the inputs shared by positions.
  Split positions(std::size_t rows) const { return {1, rows, options_.inputs}; }
  std::size_t local_outputs() const { return axis_.share_count(bias()); }

  /// Shape: x rows x inputs, y rows x local_outputs().
  void forward(const T* x, std::size_t rows, const T* w, const T* b, T* y);
  /// Overwrites dw and db, and dx, the whole sum; null on all ranks: nobody wants it.
  void backward(const T* x, const T* dy, std::size_t rows, const T* w, T* dw, T* db, T* dx);

  /// The same from an input shared by positions, which is gathered in `x`; backward wants that again.
  /// Shape: x_share and dx_share this rank's rows of positions(rows), maybe none.
  void forward_from_positions(const T* x_share, std::size_t rows, const T* w, const T* b, T* x, T* y);
  void backward_to_positions(const T* x, const T* dy, std::size_t rows, const T* w, T* dw, T* db, T* dx_share);

  /// The two halves of backward, for who computes the gradients of weights later, or something else beside the sum of dx:
  /// the same bits. dx is the operation's until the work is done.
  [[nodiscard]] Work backward_input_async(const T* dy, std::size_t rows, const T* w, T* dx);
  void backward_input_to_positions(const T* dy, std::size_t rows, const T* w, T* dx_share);
  void backward_weight(const T* x, const T* dy, std::size_t rows, T* dw, T* db);

 private:
  std::size_t segment() const { return options_.outputs / options_.segments; }

  Axis& axis_;
  std::string name_;
  ColumnParallelLinearOptions options_;
};

extern template class ColumnParallelLinear<float>;
extern template class ColumnParallelLinear<double>;

}  // namespace trireme::tensor_parallel
