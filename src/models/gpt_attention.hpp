// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "models/dropout.hpp"
#include "models/gpt_shape.hpp"

#include <cstddef>
#include <cstdint>

namespace trireme::models {

/// Elements of memory that attention needs beside what is kept.
inline std::size_t attention_scratch(const GptShape& shape) { return 2 * shape.length * shape.length; }

template <class T>
struct AttentionCall {
  GptShape shape;
  const T* qkv = nullptr;  ///< positions x 3 channels: q of all heads, k, v
  T* weights = nullptr;    ///< rows x heads x length x length: written forward, read backward
  T* attended = nullptr;   ///< positions x channels: written forward; not used backward
  T* scratch = nullptr;    ///< attention_scratch() elements
  const Dropout* dropout = nullptr;
  std::uint32_t site = 0;
  std::size_t first_head = 0;  ///< in the masks' numbering: heads before these are elsewhere
};

/// attended = softmax(q k^T/sqrt(head channels)) v for every head of every row, each position looking at itself and back;
/// dropout falls on the weights.
template <class T>
void attention(const AttentionCall<T>& call) noexcept;

/// dqkv, the derivative by q, k and v, from dattended, that by `attended`.
/// Shape: dqkv as qkv, dattended as attended; apart.
template <class T>
void attention_backward(const AttentionCall<T>& call, T* dqkv, const T* dattended) noexcept;

}  // namespace trireme::models
