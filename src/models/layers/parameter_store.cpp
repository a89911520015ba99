// SPDX-License-Identifier: Apache-2.0
#include "models/layers/parameter_store.hpp"

#include "kernels/float_environment.hpp"
#include "models/gradient_views.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <utility>

namespace trireme::models::layers {
namespace {

std::size_t count_of(const std::vector<std::int64_t>& shape) {
  std::size_t count = 1;
  for (const std::int64_t extent : shape) count *= static_cast<std::size_t>(extent);
  return count;
}

/// The next multiple of a cache line.
template <class T>
std::size_t line_count(std::size_t count) {
  constexpr std::size_t unit = data::AlignedBuffer<T>::alignment / sizeof(T);
  return (count + unit - 1) / unit * unit;
}

}  // namespace

template <class T>
std::size_t ParameterStore<T>::declare(std::string name, std::vector<std::int64_t> shape, Initial initial) {
  parameters_.push_back({std::move(name), std::move(shape), {}, {}});
  parameters_.back().stays = true;
  initial_.push_back(initial);
  return parameters_.size() - 1;
}

template <class T>
std::size_t ParameterStore<T>::declare_buffer(std::string name, std::size_t count, double initial) {
  buffers_.push_back({std::move(name), {static_cast<std::int64_t>(count)}, {}, {}});
  buffer_initial_.push_back(initial);
  const std::size_t begin = statistics_.size();
  statistics_.resize(begin + count);
  return begin;
}

template <class T>
void ParameterStore<T>::allocate(std::uint64_t seed) {
  std::size_t total = 0;
  for (const Parameter& each : parameters_) total += line_count<T>(count_of(each.shape));
  values_ = data::AlignedBuffer<T>(total);
  gradients_ = data::AlignedBuffer<T>(total);
  std::size_t offset = 0;
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    const std::size_t count = count_of(parameters_[p].shape);
    const std::span<T> value = values_.span().subspan(offset, count);
    set_initial(value, initial_[p], seed, p);
    parameters_[p].value = value;
    parameters_[p].gradient = gradients_.span().subspan(offset, count);
    offset += line_count<T>(count);
  }
  buffer_values_ = data::AlignedBuffer<T>(statistics_.size());
  offset = 0;
  for (std::size_t b = 0; b < buffers_.size(); ++b) {
    const std::span<T> value = buffer_values_.span().subspan(offset, count_of(buffers_[b].shape));
    for (T& each : value) each = static_cast<T>(buffer_initial_[b]);
    buffers_[b].value = value;
    offset += value.size();
  }
}

template <class T>
void ParameterStore<T>::use_gradients(std::span<const Parameter> given) {
  if (adopt_gradients(parameters_, given)) gradients_ = {};
}

template <class T>
void ParameterStore<T>::use_access(ParameterAccess& access) {
  access_ = &access;
  for (Parameter& parameter : parameters_) parameter.gradient.data = nullptr;
  gradients_ = {};
}

template <class T>
void ParameterStore<T>::settle_buffers(std::span<const double> statistics, double momentum) {
  if (statistics.size() != statistics_.size()) {
    fail(ErrorCode::invalid_argument, std::to_string(statistics.size()) + " statistics for buffers of " +
                                          std::to_string(statistics_.size()) + " elements");
  }
  const kernels::FloatEnvironment environment;
  for (std::size_t i = 0; i < statistics.size(); ++i) {
    const auto old = static_cast<double>(buffer_values_.data()[i]);
    buffer_values_.data()[i] = static_cast<T>(old + momentum * (statistics[i] - old));
  }
}

template <class T>
void ParameterStore<T>::share_statistics(StatisticsExchange* exchange) {
  std::size_t most = 0;
  for (const Parameter& buffer : buffers_) most = std::max(most, buffer.value.count);
  shared_ = exchange == nullptr ? nullptr : std::make_unique<SharedStatistics>(*exchange, most);
}

template class ParameterStore<float>;
template class ParameterStore<double>;

}  // namespace trireme::models::layers
