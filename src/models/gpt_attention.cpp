// SPDX-License-Identifier: Apache-2.0
#include "models/gpt_attention.hpp"

#include "kernels/causal_softmax/causal_softmax.hpp"
#include "models/gemm.hpp"

#include <algorithm>
#include <cmath>

namespace trireme::models {
namespace {

/// One head of one row: where it begins in matrices of `channels` and of 3 `channels` columns, and its weights.
struct Head {
  std::size_t row, index;
  std::size_t narrow, wide, weights;
};

template <class Body>
void for_each_head(const GptShape& shape, Body&& body) {
  for (std::size_t r = 0; r < shape.rows; ++r) {
    for (std::size_t h = 0; h < shape.heads; ++h) {
      const std::size_t first = r * shape.length * shape.channels;
      const std::size_t column = h * shape.head_channels();
      body(Head{r, h, first + column, 3 * first + column, (r * shape.heads + h) * shape.length * shape.length});
    }
  }
}

template <class T>
T scale_of(const GptShape& shape) {
  return static_cast<T>(1.0 / std::sqrt(static_cast<double>(shape.head_channels())));
}

/// Lays the mask of one head's weights on: only what lies on and below the diagonal.
template <class T>
void mask(const AttentionCall<T>& call, const Head& head, T* to, const T* from) {
  const std::size_t length = call.shape.length;
  for (std::size_t i = 0; i < length; ++i) {
    call.dropout->apply(to + i * length, from + i * length, head.row,
                        ((call.first_head + head.index) * length + i) * length, i + 1, call.site);
    for (std::size_t j = i + 1; j < length; ++j) to[i * length + j] = T{0};
  }
}

/// What lies above the diagonal is zero and not multiplied, but for squares of this size on the diagonal.
constexpr std::size_t tile = 64;

/// Calls body(begin, count, end of what these positions see) for tiles of positions.
template <class Body>
void for_each_tile(std::size_t length, Body&& body) {
  for (std::size_t begin = 0; begin < length; begin += tile) {
    const std::size_t end = std::min(begin + tile, length);
    body(begin, end - begin, end);
  }
}

template <class T>
Strided<T> below(Strided<T> matrix, std::size_t row, std::size_t column = 0) {
  return {matrix.data + row * matrix.stride + column, matrix.stride};
}

/// scores = a b^T for rows of a and what they see of b: length x length from length x inner.
template <class T>
void look_back(const GptShape& shape, Strided<const T> a, Strided<const T> b, Strided<T> scores) {
  for_each_tile(shape.length, [&](std::size_t begin, std::size_t count, std::size_t end) {
    gemm(Form::plain, Form::transposed, count, end, shape.head_channels(), below(a, begin), b, below(scores, begin));
  });
}

/// sums = weights values, weights being zero above the diagonal.
template <class T>
void gather(const GptShape& shape, Strided<const T> weights, Strided<const T> values, Strided<T> sums) {
  for_each_tile(shape.length, [&](std::size_t begin, std::size_t count, std::size_t end) {
    gemm(Form::plain, Form::plain, count, shape.head_channels(), end, below(weights, begin), values,
         below(sums, begin));
  });
}

/// sums = weights^T values: what a position gets from itself and those behind it.
template <class T>
void scatter(const GptShape& shape, Strided<const T> weights, Strided<const T> values, Strided<T> sums) {
  for_each_tile(shape.length, [&](std::size_t begin, std::size_t count, std::size_t) {
    gemm(Form::transposed, Form::plain, count, shape.head_channels(), shape.length - begin,
         below(weights, begin, begin), below(values, begin), below(sums, begin));
  });
}

}  // namespace

template <class T>
void attention(const AttentionCall<T>& call) noexcept {
  const std::size_t length = call.shape.length;
  const std::size_t width = call.shape.channels;
  for_each_head(call.shape, [&](const Head& head) {
    const T* q = call.qkv + head.wide;
    T* weights = call.weights + head.weights;
    look_back<T>(call.shape, {q, 3 * width}, {q + width, 3 * width}, {weights, length});
    kernels::causal_softmax(weights, length, scale_of<T>(call.shape));
    const T* used = weights;
    if (call.dropout->on()) {
      mask(call, head, call.scratch, weights);
      used = call.scratch;
    }
    gather<T>(call.shape, {used, length}, {q + 2 * width, 3 * width}, {call.attended + head.narrow, width});
  });
}

template <class T>
void attention_backward(const AttentionCall<T>& call, T* dqkv, const T* dattended) noexcept {
  const std::size_t length = call.shape.length;
  const std::size_t width = call.shape.channels;
  T* dweights = call.scratch + length * length;
  for_each_head(call.shape, [&](const Head& head) {
    const T* q = call.qkv + head.wide;
    T* dq = dqkv + head.wide;
    const Strided<const T> dout{dattended + head.narrow, width};
    const T* weights = call.weights + head.weights;
    const T* used = weights;
    if (call.dropout->on()) {
      mask(call, head, call.scratch, weights);
      used = call.scratch;
    }
    scatter<T>(call.shape, {used, length}, dout, {dq + 2 * width, 3 * width});
    look_back<T>(call.shape, dout, {q + 2 * width, 3 * width}, {dweights, length});
    if (call.dropout->on()) mask(call, head, dweights, dweights);
    kernels::causal_softmax_backward(dweights, weights, length, scale_of<T>(call.shape));
    gather<T>(call.shape, {dweights, length}, {q + width, 3 * width}, {dq, 3 * width});
    scatter<T>(call.shape, {dweights, length}, {q, 3 * width}, {dq + width, 3 * width});
  });
}

template void attention(const AttentionCall<float>&) noexcept;
template void attention(const AttentionCall<double>&) noexcept;
template void attention_backward(const AttentionCall<float>&, float*, const float*) noexcept;
template void attention_backward(const AttentionCall<double>&, double*, const double*) noexcept;

}  // namespace trireme::models
