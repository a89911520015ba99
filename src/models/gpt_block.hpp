// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "models/dropout.hpp"
#include "models/gpt_parameters.hpp"
#include "models/gpt_shape.hpp"
#include "trireme/data/aligned_buffer.hpp"

#include <cstddef>

namespace trireme::models {

/// What a block's forward pass leaves for its backward pass, beside its input.
template <class T>
struct BlockActivations {
  data::AlignedBuffer<T> normalised1, means1, inverse_roots1;  ///< norm1's output and statistics
  data::AlignedBuffer<T> qkv, weights, attended;               ///< of attention
  data::AlignedBuffer<T> middle;                               ///< the input with the attention branch added
  data::AlignedBuffer<T> normalised2, means2, inverse_roots2;
  data::AlignedBuffer<T> expanded, activated;  ///< before and after GELU

  void make_room(const GptShape& shape);
};

/// Memory that passes of all blocks share.
template <class T>
struct BlockScratch {
  data::AlignedBuffer<T> attention;
  data::AlignedBuffer<T> branch;      ///< derivative by a branch's output, where dropout makes it another one
  data::AlignedBuffer<T> narrow;      ///< positions x channels
  data::AlignedBuffer<T> wide;        ///< positions x 4 channels
  data::AlignedBuffer<T> gain_terms;  ///< positions x channels

  void make_room(const GptShape& shape, bool backward, bool dropout);
};

template <class T>
struct BlockCall {
  GptShape shape;
  BlockTensors<T> tensors;
  std::size_t layer = 0;
  const Dropout* dropout = nullptr;
  BlockActivations<T>* kept = nullptr;
  BlockScratch<T>* scratch = nullptr;
};

/// output = middle + mlp(norm2(middle)), middle = input + attention(norm1(input)). A null output leaves the last product
/// away: everything kept is then there.
template <class T>
void block_forward(const BlockCall<T>& call, const T* input, T* output) noexcept;

/// Calls with the index of a parameter whose gradient is final.
struct BlockReady {
  const void* listener = nullptr;
  void (*call)(const void* listener, std::size_t parameter) = nullptr;
  std::size_t first = 0;
  void operator()(BlockParameter which) const { call(listener, first + static_cast<std::size_t>(which)); }
};

/// From the derivative by the output to that by the input, in `delta`; gradients from the block's last parameter to its
/// first, each announced before work on what lies below goes on.
template <class T>
void block_backward(const BlockCall<T>& call, const T* input, T* delta, const BlockReady& ready);

}  // namespace trireme::models
