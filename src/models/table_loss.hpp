// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/data/aligned_buffer.hpp"
#include "trireme/models/tabular.hpp"

namespace trireme::models {

/// The loss of a model of tables, and its derivative: (f - y)^2/2 of one output, or the cross entropy of the softmax.
/// Threads: one at a time.
class TableLoss {
 public:
  TableLoss() = default;
  TableLoss(TabularLoss kind, std::size_t outputs) : kind_(kind), outputs_(outputs) {}

  /// Errors: invalid_argument, naming a row, unless there is a label per row and, of cross_entropy, each is a class.
  void check(std::span<const float> labels, std::size_t rows) const;
  /// Room for calls of so many rows; afterwards they use no heap.
  void make_room(std::size_t rows);
  /// The loss of every row, and the derivative of their mean by the outputs, of labels that were checked.
  /// Shape: outputs labels x outputs; losses a row each; gradient as outputs and apart from them, or null.
  /// Order: squared in f64, the derivative rounded to T once; cross_entropy as kernels/token_cross_entropy.
  template <class T>
  void operator()(std::span<const float> labels, const T* outputs, double* losses, T* gradient);
  /// How many rows have their label as the first of the greatest outputs; 0 of squared.
  template <class T>
  std::size_t correct(std::span<const float> labels, const T* outputs) const;

 private:
  TabularLoss kind_ = TabularLoss::squared;
  std::size_t outputs_ = 1;
  data::AlignedBuffer<std::uint16_t> targets_;
};

}  // namespace trireme::models
