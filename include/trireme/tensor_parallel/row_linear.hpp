// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/tensor_parallel/axis.hpp"
#include "trireme/tensor_parallel/split.hpp"

#include <cstddef>
#include <string>

namespace trireme::tensor_parallel {

struct RowParallelLinearOptions {
  std::size_t inputs = 0;
  std::size_t outputs = 0;
  std::size_t unit = 1;  ///< inputs that stay together, as the layer before shares its outputs
};

/// y = x W^T + b, of which each rank of an axis has some inputs and the columns of W that belong to them; b is whole on every
/// rank: a linear layer from sharded to replicated, or to shared by positions (sequence parallel). The other half of a
/// ColumnParallelLinear.
/// Shape:   W {outputs, inputs} of this rank's columns: weight(), stored row by row; b {outputs} or null, then db, too.
/// Order:   y is the ranks' products summed in canonical order, then b is added once: equal to the dense layer but for rounding.
/// Cost:    forward an all_reduce of y (to positions: a reduce_scatter), backward nothing sent (from positions: an
///          all_gather of dy).
/// Threads, errors: as Axis and conjugate.hpp.
/// Source:  Shoeybi et al., Megatron-LM, 2019 (arXiv 1909.08053).
template <class T>
class RowParallelLinear {
 public:
  /// `name`: of the layer, for errors. Errors: invalid_argument naming it for a unit that does not divide.
  RowParallelLinear(Axis& axis, std::string name, const RowParallelLinearOptions& options);

  Split weight() const { return {options_.outputs, options_.inputs, 1, options_.unit}; }
  /// Of the inputs of `rows` rows: what replicated_to_sharded() takes to share them.
  Split input(std::size_t rows) const { return {rows, options_.inputs, 1, options_.unit}; }
  /// Of the outputs shared by positions.
  Split positions(std::size_t rows) const { return {1, rows, options_.outputs}; }
  std::size_t local_inputs() const { return axis_.share_count({1, options_.inputs, 1, options_.unit}); }

  /// Shape: x rows x local_inputs(), y rows x outputs.
  void forward(const T* x, std::size_t rows, const T* w, const T* b, T* y);
  /// Overwrites dw, db and, unless it is null, dx.
  void backward(const T* x, const T* dy, std::size_t rows, const T* w, T* dw, T* db, T* dx);

  /// The same to an output shared by positions; backward gathers its derivative in `dy`.
  /// Shape: y_share and dy_share this rank's rows of positions(rows), dy rows x outputs.
  void forward_to_positions(const T* x, std::size_t rows, const T* w, const T* b, T* y_share);
  void backward_from_positions(const T* x, const T* dy_share, std::size_t rows, const T* w, T* dy, T* dw, T* db, T* dx);

  /// The two halves of backward, for who computes the gradients of weights later: the same bits. gather_gradient() makes, of
  /// a derivative shared by positions, the `dy` that both take.
  void gather_gradient(const T* dy_share, std::size_t rows, T* dy);
  void backward_input(const T* dy, std::size_t rows, const T* w, T* dx);
  void backward_weight(const T* x, const T* dy, std::size_t rows, T* dw, T* db);

 private:
  Axis& axis_;
  std::string name_;
  RowParallelLinearOptions options_;
};

extern template class RowParallelLinear<float>;
extern template class RowParallelLinear<double>;

}  // namespace trireme::tensor_parallel
