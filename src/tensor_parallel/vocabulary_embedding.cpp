// SPDX-License-Identifier: Apache-2.0
#include "trireme/tensor_parallel/vocabulary_embedding.hpp"

#include "kernels/float_environment.hpp"
#include "trireme/base/error.hpp"
#include "trireme/tensor_parallel/conjugate.hpp"

#include <algorithm>
#include <utility>

namespace trireme::tensor_parallel {

template <class T>
VocabularyParallelEmbedding<T>::VocabularyParallelEmbedding(Axis& axis, std::string name, std::size_t vocabulary,
                                                            std::size_t channels)
    : axis_(axis), name_(std::move(name)), vocabulary_(vocabulary), channels_(channels) {
  if (vocabulary >= 1 && vocabulary <= 65536) return;
  fail(ErrorCode::invalid_argument, "'" + name_ + "': a vocabulary has 1 to 65536 tokens, not " +
                                        std::to_string(vocabulary) + ": tokens are 16 bits");
}

template <class T>
void VocabularyParallelEmbedding<T>::own_rows(std::span<const std::uint16_t> tokens, const T* table, T* x) const {
  const layout::Interval mine = axis_.share(this->table());
  for (std::size_t i = 0; i < tokens.size(); ++i, x += channels_) {
    const std::size_t token = tokens[i];
    if (token >= vocabulary_) {
      fail(ErrorCode::invalid_argument, "'" + name_ + "': token " + std::to_string(token) + " at " + std::to_string(i) +
                                            " is not below the vocabulary of " + std::to_string(vocabulary_));
    }
    if (mine.begin <= token && token < mine.end) {
      std::copy_n(table + (token - mine.begin) * channels_, channels_, x);
    } else {
      std::fill_n(x, channels_, T{-0.0});
    }
  }
}

template <class T>
void VocabularyParallelEmbedding<T>::forward(std::span<const std::uint16_t> tokens, const T* table, T* x) {
  own_rows(tokens, table, x);
  partial_to_replicated(axis_, std::span<T>(x, tokens.size() * channels_), name_);
}

template <class T>
void VocabularyParallelEmbedding<T>::backward(std::span<const std::uint16_t> tokens, const T* dx, T* dtable) {
  const kernels::FloatEnvironment environment;
  const layout::Interval mine = axis_.share(table());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const std::size_t token = tokens[i];
    if (token < mine.begin || token >= mine.end) continue;
    T* const row = dtable + (token - mine.begin) * channels_;
    const T* const from = dx + i * channels_;
    for (std::size_t c = 0; c < channels_; ++c) row[c] = row[c] + from[c];
  }
}

template <class T>
void VocabularyParallelEmbedding<T>::forward_to_positions(std::span<const std::uint16_t> tokens, const T* table,
                                                          T* x_share) {
  const Split split = positions(tokens.size());
  T* const partial = reinterpret_cast<T*>(axis_.scratch(Axis::Scratch::transit, split.count() * sizeof(T)));
  own_rows(tokens, table, partial);
  partial_to_sharded(axis_, split, std::span<const T>(partial, split.count()),
                     std::span<T>(x_share, axis_.share_count(split)), name_);
}

template <class T>
void VocabularyParallelEmbedding<T>::backward_from_positions(std::span<const std::uint16_t> tokens, const T* dx_share,
                                                             T* dx, T* dtable) {
  const Split split = positions(tokens.size());
  partial_to_sharded_backward(axis_, split, std::span<const T>(dx_share, axis_.share_count(split)),
                              std::span<T>(dx, split.count()), name_);
  backward(tokens, dx, dtable);
}

template class VocabularyParallelEmbedding<float>;
template class VocabularyParallelEmbedding<double>;

}  // namespace trireme::tensor_parallel
