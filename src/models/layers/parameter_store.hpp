// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "models/initial.hpp"
#include "models/layers/shared_statistics.hpp"
#include "trireme/base/parameter.hpp"
#include "trireme/base/parameter_access.hpp"
#include "trireme/data/aligned_buffer.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace trireme::models::layers {

/// The parameters, buffers and statistics of a model built of layers. Layers declare what they have while they are
/// constructed; then allocate() gives it memory, 64-byte aligned, and first values.
/// Start:   element e of parameter p is a function of (seed, p, e) and of what was declared: set_initial().
/// Threads: one at a time. Layers refer to it: it stays where it is.
template <class T>
class ParameterStore {
 public:
  ParameterStore() = default;
  ParameterStore(const ParameterStore&) = delete;
  ParameterStore& operator=(const ParameterStore&) = delete;

  /// The index of the new parameter.
  std::size_t declare(std::string name, std::vector<std::int64_t> shape, Initial initial);
  /// Where the statistics of the new buffer begin among all of them, one per element.
  std::size_t declare_buffer(std::string name, std::size_t count, double initial);
  void allocate(std::uint64_t seed);

  const std::vector<Parameter>& parameters() const { return parameters_; }
  void use_gradients(std::span<const Parameter> given);
  /// As Classifier::use_access().
  void use_access(ParameterAccess& access);
  T* value(std::size_t parameter) const { return static_cast<T*>(parameters_[parameter].value.data); }
  /// Where it is to be written in this call, until it is ready.
  T* gradient(std::size_t parameter) const {
    if (access_ != nullptr) return static_cast<T*>(access_->gradient(parameter).data);
    return static_cast<T*>(parameters_[parameter].gradient.data);
  }

  std::span<const Parameter> buffers() const { return buffers_; }
  /// By the number that declare_buffer() returned.
  const T* buffer(std::size_t begin) const { return buffer_values_.data() + begin; }
  std::span<double> statistics() { return statistics_; }
  /// From here on the statistics are those of the samples of all ranks that `exchange` joins; null: of the own ones.
  void share_statistics(StatisticsExchange* exchange);
  /// Null: they are not shared.
  SharedStatistics* shared_statistics() const { return shared_.get(); }
  /// Every element of the buffers becomes old + momentum (statistic - old), in f64, rounded to T once.
  /// Errors: invalid_argument unless there is one statistic per element.
  void settle_buffers(std::span<const double> statistics, double momentum);

 private:
  std::vector<Parameter> parameters_;
  ParameterAccess* access_ = nullptr;  ///< null: gradients lie where parameters_ says
  std::vector<Initial> initial_;
  data::AlignedBuffer<T> values_;
  data::AlignedBuffer<T> gradients_;
  std::vector<Parameter> buffers_;
  std::vector<double> buffer_initial_;
  data::AlignedBuffer<T> buffer_values_;
  std::vector<double> statistics_;
  std::unique_ptr<SharedStatistics> shared_;
};

extern template class ParameterStore<float>;
extern template class ParameterStore<double>;

}  // namespace trireme::models::layers
