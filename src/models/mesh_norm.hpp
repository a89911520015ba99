// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/data/aligned_buffer.hpp"
#include "trireme/tensor_parallel/axis.hpp"
#include "trireme/tensor_parallel/positions_norm.hpp"

#include <cstddef>
#include <optional>
#include <string>

namespace trireme::models {

/// What a layer norm leaves for its backward pass.
template <class T>
struct NormStatistics {
  data::AlignedBuffer<T> means, inverse_roots;
  void make_room(std::size_t rows) {
    means.ensure(rows);
    inverse_roots.ensure(rows);
  }
};

/// Layer norm of rows that all ranks of the tensor axis have, or that they share by positions.
template <class T>
class MeshNorm {
 public:
  MeshNorm(tensor_parallel::Axis& axis, const std::string& name, std::size_t columns, bool by_positions);

  void forward(const T* x, std::size_t rows, const T* gain, const T* bias, T* y, NormStatistics<T>& statistics);
  /// delta += the derivative by x. `sums` becomes the gradient of the gain, and behind it that of the bias.
  /// Shape: gain_terms rows x columns of working memory.
  struct Backward {
    const T* x = nullptr;
    const T* dy = nullptr;
    const T* gain = nullptr;
    const NormStatistics<T>* statistics = nullptr;
    std::size_t rows = 0;
    T* delta = nullptr;
    T* sums = nullptr;
    T* gain_terms = nullptr;
  };
  void backward(const Backward& call);

 private:
  std::size_t columns_;
  std::optional<tensor_parallel::PositionsLayerNorm<T>> by_positions_;
};

extern template class MeshNorm<float>;
extern template class MeshNorm<double>;

}  // namespace trireme::models
