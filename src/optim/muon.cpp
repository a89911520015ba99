// SPDX-License-Identifier: Apache-2.0
#include "trireme/optim/muon.hpp"

#include "kernels/gemm/gemm.hpp"
#include "kernels/norm/norm.hpp"
#include "optim/setting_check.hpp"
#include "optim/wide_gradient.hpp"
#include "trireme/layout/flat_shards.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace trireme {
namespace {

enum MuonState : std::size_t { momentum_state, first_state, second_state };

/// Of the quintic that takes singular values in (0, 1] to about 1.
constexpr double quintic_a = 3.4445, quintic_b = -4.7750, quintic_c = 2.0315;

/// Elements of working memory: X, the next one, and two squares of the shorter side.
std::size_t room_for(const TensorShape& shape) {
  const std::size_t side = std::min(shape.rows, shape.columns);
  return 2 * shape.count() + 2 * side * side;
}

/// C = A*B, of dense matrices.
template <class T>
void multiply(T* c, const kernels::GemmFactor& a, const kernels::GemmFactor& b, std::size_t m, std::size_t n,
              std::size_t k, void* workspace) noexcept {
  kernels::gemm({.dtype = dtype_of<T>, .m = m, .n = n, .k = k, .a = a, .b = b, .c = c, .c_stride = n}, workspace);
}

}  // namespace

Muon::Muon(const MuonOptions& options)
    : Optimizer("muon", {options.learning_rate, options.l2_penalty, options.weight_decay}),
      options_(options),
      adamw_(options.adamw),
      by_adamw_{.name = "by_adamw", .parameters = options.by_adamw} {
  optim::check_setting("muon", "momentum", options.momentum, 0.0, 1.0);
  optim::check_setting("muon", "epsilon", options.epsilon, 0.0);
  if (options.iterations < 1) fail(ErrorCode::invalid_argument, "muon: iterations must be at least 1");
}

TensorShape Muon::shape_for(std::string_view parameter, const TensorShape& shape) const {
  return by_adamw_.has(parameter) ? TensorShape{1, shape.count()} : shape;
}

std::size_t Muon::state_count(std::size_t state, const TensorShape& shape) const {
  return (state == momentum_state) == shape.is_matrix() ? shape.count() : 0;
}

void Muon::prepare(const TensorShape& shape) {
  if (!shape.is_matrix()) return;
  if (scratch_.size() < room_for(shape)) scratch_.resize(room_for(shape));
  workspace_.resize(kernels::gemm_workspace_bytes / sizeof(Line));
}

template <class T>
void Muon::update_matrix(const SpanUpdate& update, const OptimizerRates& rates) const noexcept {
  const std::size_t count = update.value.count, rows = update.shape.rows, columns = update.shape.columns;
  const std::size_t side = std::min(rows, columns);
  T* p = static_cast<T*>(update.value.data);
  T* buffer = static_cast<T*>(update.state[momentum_state].data);
  T* x = reinterpret_cast<T*>(scratch_.data());
  T* next = x + count;
  T* square = next + count;
  T* fourth = square + side * side;

  const T momentum = static_cast<T>(options_.momentum), fresh = static_cast<T>(1.0 - options_.momentum);
  T gradient[layout::reduction_block];
  for (std::size_t begin = 0; begin < count; begin += layout::reduction_block) {
    const std::size_t n = std::min(layout::reduction_block, count - begin);
    optim::wide_gradient(gradient, update, rates, begin, n);
    for (std::size_t i = 0; i < n; ++i) {
      T& b = buffer[begin + i];
      b = momentum * b + fresh * gradient[i];
      next[begin + i] = options_.nesterov ? momentum * b + fresh * gradient[i] : b;
    }
  }
  const double norm = std::sqrt(kernels::sum_of_squares(next, dtype_of<T>, count));
  const T inverse = static_cast<T>(1.0 / (norm + options_.epsilon));
  for (std::size_t i = 0; i < count; ++i) x[i] = next[i] * inverse;

  const T a = static_cast<T>(quintic_a), b = static_cast<T>(quintic_b), c = static_cast<T>(quintic_c);
  // The polynomial of X X^T before X, or of X^T X behind it: the same matrix, by the smaller square.
  const bool tall = rows > columns;
  void* const workspace = workspace_.data();
  const kernels::GemmFactor whole{x, columns}, turned{x, columns, true}, power{square, side}, polynomial{fourth, side};
  for (int iteration = 0; iteration < options_.iterations; ++iteration) {
    tall ? multiply(square, turned, whole, side, side, rows, workspace)
         : multiply(square, whole, turned, side, side, columns, workspace);
    multiply(fourth, power, power, side, side, side, workspace);
    for (std::size_t i = 0; i < side * side; ++i) fourth[i] = b * square[i] + c * fourth[i];
    tall ? multiply(next, whole, polynomial, rows, columns, side, workspace)
         : multiply(next, polynomial, whole, rows, columns, side, workspace);
    for (std::size_t i = 0; i < count; ++i) x[i] = a * x[i] + next[i];
  }
  const auto n = static_cast<double>(rows), m = static_cast<double>(columns);
  const double scale =
      options_.scale == MuonScale::original ? std::sqrt(std::max(1.0, n / m)) : 0.2 * std::sqrt(std::max(n, m));
  const T step = static_cast<T>(rates.learning_rate * scale);
  const T keep = static_cast<T>(1.0 - rates.learning_rate * rates.weight_decay);
  for (std::size_t i = 0; i < count; ++i) p[i] = p[i] * keep - step * x[i];
  optim::copy_out(update);
}

void Muon::update(const SpanUpdate& update, const OptimizerRates& rates) const noexcept {
  if (update.shape.is_matrix()) {
    return update.value.dtype == DType::f64 ? update_matrix<double>(update, rates)
                                            : update_matrix<float>(update, rates);
  }
  const std::array<TensorView, 2> moments{update.state[first_state], update.state[second_state]};
  SpanUpdate vector = update;
  vector.state = moments;
  OptimizerRates own = rates;
  own.learning_rate = options_.learning_rate == 0.0
                          ? 0.0
                          : rates.learning_rate * (options_.adamw.learning_rate / options_.learning_rate);
  own.weight_decay = options_.adamw.weight_decay;
  own.l2_penalty = options_.adamw.l2_penalty;
  adamw_.update(vector, own);
}

}  // namespace trireme
