// SPDX-License-Identifier: Apache-2.0
#include "kernels/batch_norm/simd.hpp"

#include "kernels/formats.hpp"

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

inline constexpr std::size_t block_rows = 64;
inline constexpr std::size_t strip = 16;

/// The sums of blocks of rows over a strip of columns: a stack of partial sums that works as a binary counter over
/// block numbers.
struct BlockTree {
  alignas(64) double partials[64][strip];
  std::size_t depth = 0;
  std::size_t blocks = 0;

  /// Where the sums of the next block go.
  double* next() { return partials[depth]; }
  void push() {
    ++depth;
    for (std::size_t n = blocks++; n & 1u; n >>= 1) combine();
  }
  void combine() {
    --depth;
    for (std::size_t c = 0; c < strip; ++c) partials[depth - 1][c] = partials[depth - 1][c] + partials[depth][c];
  }
  void finish(double* result, std::size_t width) {
    while (depth > 1) combine();
    for (std::size_t c = 0; c < width; ++c) result[c] = depth == 1 ? partials[0][c] : 0.0;
  }
};

/// sum[c] += term(row, c) over the rows of a block, for a whole strip or what there is of it.
template <class Term>
void add_block(double* sum, std::size_t begin, std::size_t end, std::size_t width, Term term) {
  double lanes[strip] = {};
  if (width == strip) {
    for (std::size_t r = begin; r < end; ++r) {
      for (std::size_t c = 0; c < strip; ++c) lanes[c] = lanes[c] + term(r, c);
    }
  } else {
    for (std::size_t r = begin; r < end; ++r) {
      for (std::size_t c = 0; c < width; ++c) lanes[c] = lanes[c] + term(r, c);
    }
  }
  for (std::size_t c = 0; c < strip; ++c) sum[c] = lanes[c];
}

template <class Term>
void sum_strip(double* result, std::size_t rows, std::size_t width, Term term) {
  BlockTree tree;
  for (std::size_t begin = 0; begin < rows; begin += block_rows) {
    const std::size_t end = rows - begin < block_rows ? rows : begin + block_rows;
    add_block(tree.next(), begin, end, width, term);
    tree.push();
  }
  tree.finish(result, width);
}

template <class T>
void moments(double* mean, double* squares, const T* x, std::size_t rows, std::size_t columns) {
  const auto count = static_cast<double>(rows);
  for (std::size_t first = 0; first < columns; first += strip) {
    const std::size_t width = columns - first < strip ? columns - first : strip;
    const T* from = x + first;
    double* strip_mean = mean + first;
    sum_strip(strip_mean, rows, width,
              [=](std::size_t r, std::size_t c) { return static_cast<double>(from[r * columns + c]); });
    double centre[strip] = {};
    for (std::size_t c = 0; c < width; ++c) centre[c] = strip_mean[c] = strip_mean[c] / count;
    sum_strip(squares + first, rows, width, [=](std::size_t r, std::size_t c) {
      const double difference = static_cast<double>(from[r * columns + c]) - centre[c];
      return difference * difference;
    });
  }
}

template <bool relu, class T>
void normalise_rows(const NormaliseCall<T>& call) {
  const std::size_t columns = call.columns;
  const T* mean = call.mean;
  const T* scale = call.scale;
  const T* shift = call.shift;
  for (std::size_t r = 0; r < call.rows; ++r) {
    T* y = call.y + r * columns;
    const T* x = call.x + r * columns;
    TRIREME_KERNELS_INDEPENDENT
    for (std::size_t c = 0; c < columns; ++c) {
      const T value = (x[c] - mean[c]) * scale[c] + shift[c];
      y[c] = relu && value < T{0} ? T{0} : value;
    }
  }
}

template <bool relu, class T>
void sums(const DerivativeSumsCall<T>& call) {
  const std::size_t columns = call.columns;
  for (std::size_t first = 0; first < columns; first += strip) {
    const std::size_t width = columns - first < strip ? columns - first : strip;
    const T* all_dy = call.dy + first;
    const T* x = call.x + first;
    const T* y = relu ? call.y + first : nullptr;
    double centre[strip] = {};
    for (std::size_t c = 0; c < width; ++c) centre[c] = call.mean[first + c];
    const auto dy = [=](std::size_t r, std::size_t c) {
      const std::size_t i = r * columns + c;
      const auto value = static_cast<double>(all_dy[i]);
      if constexpr (relu) return y[i] > T{0} ? value : 0.0;
      return value;
    };
    BlockTree sum;
    BlockTree projected;
    for (std::size_t begin = 0; begin < call.rows; begin += block_rows) {
      const std::size_t end = call.rows - begin < block_rows ? call.rows : begin + block_rows;
      add_block(sum.next(), begin, end, width, dy);
      sum.push();
      add_block(projected.next(), begin, end, width, [=](std::size_t r, std::size_t c) {
        return dy(r, c) * (static_cast<double>(x[r * columns + c]) - centre[c]);
      });
      projected.push();
    }
    sum.finish(call.sum + first, width);
    projected.finish(call.projected + first, width);
  }
}

template <bool relu, class T>
void backward_rows(const NormaliseBackwardCall<T>& call) {
  const std::size_t columns = call.columns;
  const T* mean = call.mean;
  const T* scale = call.scale;
  const T* mean_dy = call.mean_dy;
  const T* slope = call.slope;
  for (std::size_t r = 0; r < call.rows; ++r) {
    T* dx = call.dx + r * columns;
    const T* all_dy = call.dy + r * columns;
    const T* x = call.x + r * columns;
    const T* y = relu ? call.y + r * columns : nullptr;
    TRIREME_KERNELS_INDEPENDENT
    for (std::size_t c = 0; c < columns; ++c) {
      T dy = all_dy[c];
      if constexpr (relu) dy = y[c] > T{0} ? dy : T{0};
      dx[c] = (dy - mean_dy[c]) * scale[c] - (x[c] - mean[c]) * slope[c];
    }
  }
}

}  // namespace

void column_moments(double* mean, double* squares, const float* x, std::size_t rows, std::size_t columns) noexcept {
  moments(mean, squares, x, rows, columns);
}
void normalise(const NormaliseCall<float>& call) noexcept {
  call.relu ? normalise_rows<true>(call) : normalise_rows<false>(call);
}
void derivative_sums(const DerivativeSumsCall<float>& call) noexcept {
  call.y != nullptr ? sums<true>(call) : sums<false>(call);
}
void normalise_backward(const NormaliseBackwardCall<float>& call) noexcept {
  call.y != nullptr ? backward_rows<true>(call) : backward_rows<false>(call);
}
void column_moments(double* mean, double* squares, const double* x, std::size_t rows, std::size_t columns) noexcept {
  moments(mean, squares, x, rows, columns);
}
void normalise(const NormaliseCall<double>& call) noexcept {
  call.relu ? normalise_rows<true>(call) : normalise_rows<false>(call);
}
void derivative_sums(const DerivativeSumsCall<double>& call) noexcept {
  call.y != nullptr ? sums<true>(call) : sums<false>(call);
}
void normalise_backward(const NormaliseBackwardCall<double>& call) noexcept {
  call.y != nullptr ? backward_rows<true>(call) : backward_rows<false>(call);
}

}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
