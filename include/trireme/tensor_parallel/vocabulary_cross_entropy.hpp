// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/tensor_parallel/axis.hpp"
#include "trireme/tensor_parallel/split.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace trireme::tensor_parallel {

/// losses_i = log(sum_j exp(z_ij)) - z_i,target over the whole vocabulary, of whose logits each rank of an axis has some columns; no
/// rank ever has them all. A negative target is ignored: its loss is 0, its gradient zeros, and means are over the others.
/// Shape:   logits rows x this rank's columns(): what a ColumnParallelLinear with `vocabulary` outputs leaves. T is float or
///          double; any vocabulary.
/// Order:   shifted by the row's maximum; exp in T, sums over a rank's columns in f64 by eight lanes, then over ranks in
///          canonical order; the loss in f64.
/// Cost:    per row an all_reduce of one T (maximum) and one of two f64 (sum, the target's logit), nothing else; memory per
///          row.
/// Threads: as Axis.  Errors: invalid_argument naming a target that is not below the vocabulary; as conjugate.hpp.
/// Source:  Shoeybi et al., Megatron-LM, 2019 (arXiv 1909.08053).
template <class T>
class VocabularyParallelCrossEntropy {
 public:
  VocabularyParallelCrossEntropy(Axis& axis, std::string name, std::size_t vocabulary);

  Split columns() const { return {1, vocabulary_, 1}; }

  /// The losses of all rows, the same on every rank; returns how many were not ignored. The logits become, with `gradient`,
  /// the derivative of the mean loss by them, (softmax(z_i)_j - [j = target])/counted; without, they are unspecified.
  /// Shape:  targets and losses one per row.
  std::size_t operator()(T* logits, std::span<const std::int32_t> targets, std::span<double> losses, bool gradient);

 private:
  Axis& axis_;
  std::string name_;
  std::size_t vocabulary_;
  std::vector<T> greatest_;
  std::vector<double> sums_;  ///< of all rows, then the targets' shifted logits
  std::vector<double> factors_;
};

extern template class VocabularyParallelCrossEntropy<float>;
extern template class VocabularyParallelCrossEntropy<double>;

}  // namespace trireme::tensor_parallel
