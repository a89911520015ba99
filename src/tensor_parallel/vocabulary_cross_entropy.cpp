// SPDX-License-Identifier: Apache-2.0
#include "trireme/tensor_parallel/vocabulary_cross_entropy.hpp"

#include "kernels/float_environment.hpp"
#include "kernels/scalar/scalar.hpp"
#include "kernels/vocabulary_cross_entropy/vocabulary_cross_entropy.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <utility>

namespace trireme::tensor_parallel {

template <class T>
VocabularyParallelCrossEntropy<T>::VocabularyParallelCrossEntropy(Axis& axis, std::string name, std::size_t vocabulary)
    : axis_(axis), name_(std::move(name)), vocabulary_(vocabulary) {
  if (vocabulary == 0) fail(ErrorCode::invalid_argument, "'" + name_ + "': a vocabulary has at least one token");
}

template <class T>
std::size_t VocabularyParallelCrossEntropy<T>::operator()(T* logits, std::span<const std::int32_t> targets,
                                                          std::span<double> losses, bool gradient) {
  const std::size_t rows = targets.size();
  if (losses.size() != rows) {
    fail(ErrorCode::invalid_argument, "'" + name_ + "': room for " + std::to_string(losses.size()) +
                                          " losses, but there are " + std::to_string(rows) + " targets");
  }
  std::size_t counted = 0;
  for (std::size_t r = 0; r < rows; ++r) {
    if (targets[r] < 0) continue;
    ++counted;
    if (static_cast<std::size_t>(targets[r]) < vocabulary_) continue;
    fail(ErrorCode::invalid_argument, "'" + name_ + "': target " + std::to_string(targets[r]) + " of row " +
                                          std::to_string(r) + " is not below the vocabulary of " +
                                          std::to_string(vocabulary_));
  }
  const kernels::FloatEnvironment environment;
  const layout::Interval mine = axis_.share(columns());
  const std::size_t width = mine.size();
  const auto is_mine = [&](std::int32_t target) {
    return target >= 0 && mine.begin <= static_cast<std::size_t>(target) && static_cast<std::size_t>(target) < mine.end;
  };
  const auto at_target = [&](std::size_t r) -> T& {
    return logits[r * width + static_cast<std::size_t>(targets[r]) - mine.begin];
  };
  Communicator communicator = axis_.communicator();
  greatest_.resize(rows);
  kernels::row_maxima(greatest_.data(), logits, rows, width);
  if (axis_.size() > 1) communicator.all_reduce(std::span<T>(greatest_), maximum, axis_.call(name_));

  sums_.assign(2 * rows, -0.0);
  for (std::size_t r = 0; r < rows; ++r) {
    if (is_mine(targets[r])) sums_[rows + r] = static_cast<double>(at_target(r)) - static_cast<double>(greatest_[r]);
  }
  kernels::row_exponentials(logits, sums_.data(), greatest_.data(), rows, width);
  if (axis_.size() > 1) communicator.all_reduce(std::span<double>(sums_), sum, axis_.call(name_));

  for (std::size_t r = 0; r < rows; ++r)
    losses[r] = targets[r] < 0 ? 0.0 : kernels::logarithm(sums_[r]) - sums_[rows + r];
  if (!gradient) return counted;
  factors_.resize(rows);
  const auto share = static_cast<double>(counted);
  for (std::size_t r = 0; r < rows; ++r) {
    factors_[r] = targets[r] < 0 ? 0.0 : 1.0 / (sums_[r] * share);
    if (is_mine(targets[r])) sums_[rows + r] = (static_cast<double>(at_target(r)) / sums_[r] - 1.0) / share;
  }
  kernels::scale_rows(logits, factors_.data(), rows, width);
  for (std::size_t r = 0; r < rows; ++r) {
    if (is_mine(targets[r])) at_target(r) = static_cast<T>(sums_[rows + r]);
    if (targets[r] < 0) std::fill_n(logits + r * width, width, T{0});  // a NaN times 0 is none
  }
  return counted;
}

template class VocabularyParallelCrossEntropy<float>;
template class VocabularyParallelCrossEntropy<double>;

}  // namespace trireme::tensor_parallel
