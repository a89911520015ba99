// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/tensor_parallel/axis.hpp"
#include "trireme/tensor_parallel/split.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace trireme::tensor_parallel {

/// x_i = E[token_i], of which each rank of an axis has some rows of E: any vocabulary, odd ones included. Tokens are the same on
/// all ranks; a rank gives its rows where it has them and -0 elsewhere, so that the sum is the row to the bit.
/// Shape:   E {vocabulary, channels} of this rank's rows: table(). T is float or double.
/// Cost:    forward an all_reduce of x (to positions: a reduce_scatter), backward nothing sent (from positions: an
///          all_gather of dx).
/// Threads: as Axis.  Errors: invalid_argument naming a token that is not below the vocabulary; as conjugate.hpp.
/// Source:  Shoeybi et al., Megatron-LM, 2019 (arXiv 1909.08053).
template <class T>
class VocabularyParallelEmbedding {
 public:
  VocabularyParallelEmbedding(Axis& axis, std::string name, std::size_t vocabulary, std::size_t channels);

  Split table() const { return {1, vocabulary_, channels_}; }
  /// Of the outputs shared by positions.
  Split positions(std::size_t count) const { return {1, count, channels_}; }

  /// Shape: x tokens.size() x channels.
  void forward(std::span<const std::uint16_t> tokens, const T* table, T* x);
  /// dtable[token_i] += dx_i for this rank's rows, i ascending: the dense layer's bits.
  void backward(std::span<const std::uint16_t> tokens, const T* dx, T* dtable);

  /// The same to an output shared by positions; backward gathers its derivative in `dx`.
  /// Shape: x_share and dx_share this rank's rows of positions(tokens.size()).
  void forward_to_positions(std::span<const std::uint16_t> tokens, const T* table, T* x_share);
  void backward_from_positions(std::span<const std::uint16_t> tokens, const T* dx_share, T* dx, T* dtable);

 private:
  void own_rows(std::span<const std::uint16_t> tokens, const T* table, T* x) const;

  Axis& axis_;
  std::string name_;
  std::size_t vocabulary_;
  std::size_t channels_;
};

extern template class VocabularyParallelEmbedding<float>;
extern template class VocabularyParallelEmbedding<double>;

}  // namespace trireme::tensor_parallel
