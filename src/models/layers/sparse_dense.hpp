// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "models/feature_set.hpp"
#include "models/layers/dense.hpp"
#include "trireme/data/rows.hpp"

namespace trireme::models::layers {

/// y = x w + b of sparse rows x, then relu if asked for: the first layer of a model, with no derivative by x. Outputs behind
/// relu may be masked as those of Dense.
/// Shape:   parameters "NAME.weight" {inputs, outputs}, a row per feature, and "NAME.bias" {outputs}; 64-byte aligned.
///          Indices of x below the inputs.
/// Order:   that of kernels/sparse_product, then the bias; the bias' gradient as in Dense.
/// Threads: one at a time.
template <class T>
class SparseDense {
 public:
  SparseDense(ParameterStore<T>& store, const DenseOptions& options);
  SparseDense(const SparseDense&) = delete;
  SparseDense& operator=(const SparseDense&) = delete;

  void make_room(std::size_t rows) { y_.ensure(rows * options_.outputs); }
  /// y, in the layer's own memory until its next forward().
  T* forward(const data::SparseRows& x);
  /// After forward() of the same x: overwrites the gradients, each announced as soon as it is final, the bias' first. dy may
  /// be written.
  void backward(const data::SparseRows& x, T* dy, const Classifier::Listener& listener);

  /// The features whose rows of the weight's gradient backward() wrote last, ascending.
  std::span<const std::uint32_t> touched() const { return touched_.ascending(); }
  /// When set, backward() leaves all other rows of the weight's gradient as they are; otherwise it writes zeros there.
  void assume_row_sparse(bool assume) { assume_row_sparse_ = assume; }

 private:
  void clear_gradient();

  ParameterStore<T>& store_;
  DenseOptions options_;
  std::size_t weight_;
  std::size_t bias_;
  bool assume_row_sparse_ = false;
  FeatureSet touched_;
  data::AlignedBuffer<T> y_;
};

extern template class SparseDense<float>;
extern template class SparseDense<double>;

}  // namespace trireme::models::layers
