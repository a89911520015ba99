// SPDX-License-Identifier: Apache-2.0
#include "trireme/optim/adafactor.hpp"

#include "kernels/norm/norm.hpp"
#include "kernels/scalar/scalar.hpp"
#include "optim/column_sums.hpp"
#include "optim/setting_check.hpp"
#include "optim/wide_gradient.hpp"
#include "trireme/layout/flat_shards.hpp"

#include <algorithm>
#include <cmath>

namespace trireme {
namespace {

enum AdafactorState : std::size_t { rows_state, columns_state, squares_state };

}  // namespace

Adafactor::Adafactor(const AdafactorOptions& options)
    : Optimizer("adafactor", {options.learning_rate, options.l2_penalty, options.weight_decay}), options_(options) {
  optim::check_setting("adafactor", "decay_exponent", options.decay_exponent, 0.0);
  optim::check_setting("adafactor", "epsilon1", options.epsilon1, 0.0);
  optim::check_setting("adafactor", "epsilon2", options.epsilon2, 0.0);
  optim::check_setting("adafactor", "clip", options.clip, 0.0);
  if (options.clip == 0.0) fail(ErrorCode::invalid_argument, "adafactor: clip must be above 0");
}

std::size_t Adafactor::state_count(std::size_t state, const TensorShape& shape) const {
  if (!shape.is_matrix()) return state == squares_state ? shape.count() : 0;
  return state == rows_state ? shape.rows : state == columns_state ? shape.columns : 0;
}

void Adafactor::prepare(const TensorShape& shape) {
  if (!shape.is_matrix()) return;
  const std::size_t wanted = shape.rows + shape.columns + optim::ColumnSums::room(shape);
  if (scratch_.size() < wanted) scratch_.resize(wanted);
}

template <class T>
void Adafactor::update_as(const SpanUpdate& update, const OptimizerRates& rates) const noexcept {
  const std::size_t count = update.value.count, columns = update.shape.columns, rows = update.shape.rows;
  if (count == 0) return;
  const bool matrix = update.shape.is_matrix();
  const auto t = static_cast<double>(update.step);
  const double rest = kernels::negative_power(t, -options_.decay_exponent), beta = 1.0 - rest;  // (1-b2), b2
  T* p = static_cast<T*>(update.value.data);
  T gradient[layout::reduction_block], direction[layout::reduction_block];

  T* row_factor = static_cast<T*>(update.state[rows_state].data);
  T* column_factor = static_cast<T*>(update.state[columns_state].data);
  T* squares = static_cast<T*>(update.state[squares_state].data);
  double* row_root = scratch_.data();                           // 1/sqrt(R_i/mean(R)), the row sums before
  double* column_root = scratch_.data() + (matrix ? rows : 0);  // 1/sqrt(C_j)
  if (matrix) {
    optim::ColumnSums sums(update.shape, column_root + columns);
    kernels::TreeSum row_sum;
    alignas(64) double block[layout::reduction_block];  // of one row, squares as they are gathered
    std::size_t in_block = 0;
    // A row is a tensor of its own, in blocks and lanes; its blocks do not fall together with the tiles.
    for (std::size_t begin = 0; begin < count; begin += layout::reduction_block) {
      const std::size_t n = std::min(layout::reduction_block, count - begin);
      optim::wide_gradient(gradient, update, rates, begin, n);
      optim::for_rows(gradient, begin, n, columns, [&](std::size_t row, std::size_t from, std::size_t to, const T* g) {
        sums.add_row(g, from, to);
        for (std::size_t c = from; c < to; ++c) {
          const auto wide = static_cast<double>(g[c - from]);
          block[in_block++] = wide * wide;
          if (in_block == layout::reduction_block || c + 1 == columns) {
            row_sum.add(kernels::block_sum(block, in_block));
            in_block = 0;
          }
        }
        if (to != columns) return;
        row_root[row] = row_sum.result();
        row_sum = {};
      });
    }
    const double* column_sums = sums.finish();
    kernels::TreeSum all;
    for (std::size_t i = 0; i < rows; ++i) {
      row_factor[i] = static_cast<T>(beta * static_cast<double>(row_factor[i]) +
                                     rest * (row_root[i] / static_cast<double>(columns) + options_.epsilon1));
      block[i % layout::reduction_block] = static_cast<double>(row_factor[i]);
      if ((i + 1) % layout::reduction_block == 0 || i + 1 == rows)
        all.add(kernels::block_sum(block, i % layout::reduction_block + 1));
    }
    const double mean = all.result() / static_cast<double>(rows);
    for (std::size_t i = 0; i < rows; ++i) row_root[i] = 1.0 / std::sqrt(static_cast<double>(row_factor[i]) / mean);
    for (std::size_t j = 0; j < columns; ++j) {
      column_factor[j] = static_cast<T>(beta * static_cast<double>(column_factor[j]) +
                                        rest * (column_sums[j] / static_cast<double>(rows) + options_.epsilon1));
      column_root[j] = 1.0 / std::sqrt(static_cast<double>(column_factor[j]));
    }
  }
  /// U of a tile; of vectors with `move` the second moment moves first.
  const auto directions = [&](std::size_t begin, std::size_t n, bool move) {
    optim::wide_gradient(gradient, update, rates, begin, n);
    if (!matrix) {
      for (std::size_t i = 0; i < n; ++i) {
        const auto g = static_cast<double>(gradient[i]);
        T& v = squares[begin + i];
        if (move) v = static_cast<T>(beta * static_cast<double>(v) + rest * (g * g + options_.epsilon1));
        direction[i] = static_cast<T>(g / std::sqrt(static_cast<double>(v)));
      }
      return;
    }
    optim::for_rows(gradient, begin, n, columns, [&](std::size_t row, std::size_t from, std::size_t to, const T* g) {
      T* out = direction + (g - gradient);
      for (std::size_t c = from; c < to; ++c)
        out[c - from] = static_cast<T>(static_cast<double>(g[c - from]) * row_root[row] * column_root[c]);
    });
  };

  kernels::TreeSum direction_squares;
  for (std::size_t begin = 0; begin < count; begin += layout::reduction_block) {
    const std::size_t n = std::min(layout::reduction_block, count - begin);
    directions(begin, n, true);
    direction_squares.add(kernels::block_sum_of_squares(direction, dtype_of<T>, n));
  }
  const double elements = static_cast<double>(count);
  const double size = std::sqrt(kernels::sum_of_squares(p, dtype_of<T>, count) / elements);
  const double length = std::sqrt(direction_squares.result() / elements);
  const double relative = std::min(rates.learning_rate, 1.0 / std::sqrt(t));
  const T step = static_cast<T>(std::max(options_.epsilon2, size) * relative / std::max(1.0, length / options_.clip));
  const T keep = static_cast<T>(1.0 - rates.learning_rate * rates.weight_decay);
  for (std::size_t begin = 0; begin < count; begin += layout::reduction_block) {
    const std::size_t n = std::min(layout::reduction_block, count - begin);
    directions(begin, n, false);
    for (std::size_t i = 0; i < n; ++i) p[begin + i] = p[begin + i] * keep - step * direction[i];
  }
  optim::copy_out(update);
}

void Adafactor::update(const SpanUpdate& update, const OptimizerRates& rates) const noexcept {
  update.value.dtype == DType::f64 ? update_as<double>(update, rates) : update_as<float>(update, rates);
}

}  // namespace trireme
