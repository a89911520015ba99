// SPDX-License-Identifier: Apache-2.0
#include "trireme/optim/weight_average.hpp"

#include "kernels/cast/cast.hpp"
#include "kernels/float_environment.hpp"
#include "kernels/update/update.hpp"
#include "optim/setting_check.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace trireme {
namespace {

DType average_dtype(DType dtype) { return dtype == DType::f64 ? DType::f64 : DType::f32; }

std::vector<double> room_for(std::size_t count, DType dtype) {
  return std::vector<double>((count * size_of(dtype) + sizeof(double) - 1) / sizeof(double));
}

}  // namespace

WeightAverage::WeightAverage(const WeightAverageOptions& options) : options_(options) {
  optim::check_setting("weight average", "decay", options.decay, 0.0, 1.0);
}

void WeightAverage::check(std::span<const Parameter> parameters) const {
  for (const Parameter& each : parameters) {
    const std::string which = "weight average: parameter '" + each.name + "'";
    const bool known = each.value.dtype == DType::f64 || each.value.dtype == DType::f32 ||
                       each.value.dtype == DType::f16 || each.value.dtype == DType::bf16;
    if (!known) fail(ErrorCode::unsupported, which + " is " + std::string(name_of(each.value.dtype)));
    if (updates_ == 0) continue;
    const auto found = kept_.find(each.name);
    if (found == kept_.end()) fail(ErrorCode::invalid_argument, which + " was not among the first ones");
    if (found->second.count != each.value.count || found->second.dtype != average_dtype(each.value.dtype))
      fail(ErrorCode::invalid_argument, which + " had another count or dtype before");
  }
  if (updates_ != 0 && parameters.size() != kept_.size()) {
    fail(ErrorCode::invalid_argument, "weight average: " + std::to_string(parameters.size()) +
                                          " parameters, but it was begun with " + std::to_string(kept_.size()));
  }
}

void WeightAverage::update(std::span<const Parameter> parameters) {
  if (is_put_) fail(ErrorCode::invalid_argument, "weight average: update() between put() and take_back()");
  check(parameters);
  const kernels::FloatEnvironment environment;
  const auto n = static_cast<double>(updates_);
  double weight = 1.0 / (n + 1.0);
  if (options_.kind == AverageKind::exponential)
    weight = 1.0 - (options_.warmup ? std::min(options_.decay, (1.0 + n) / (10.0 + n)) : options_.decay);
  for (const Parameter& each : parameters) {
    auto [entry, fresh] = kept_.try_emplace(each.name);
    Kept& kept = entry->second;
    if (fresh) {
      kept.dtype = average_dtype(each.value.dtype);
      kept.count = each.value.count;
      kept.storage = room_for(kept.count, kept.dtype);
      kernels::cast(kept.storage.data(), kept.dtype, each.value.data, each.value.dtype, kept.count);
      continue;
    }
    // a*(1-w) - (-w)*p: what descent does with p for a gradient.
    kernels::update({.dtype = kept.dtype,
                     .parameter = kept.storage.data(),
                     .gradient = each.value.data,
                     .gradient_dtype = each.value.dtype,
                     .count = kept.count,
                     .keep = 1.0 - weight},
                    kernels::SgdRule{.learning_rate = -weight});
  }
  ++updates_;
}

void WeightAverage::put(std::span<const Parameter> parameters) {
  if (updates_ == 0) fail(ErrorCode::invalid_argument, "weight average: put() before the first update()");
  if (is_put_) fail(ErrorCode::invalid_argument, "weight average: put() twice without take_back()");
  check(parameters);
  for (const Parameter& each : parameters) {
    Kept& kept = kept_.find(each.name)->second;
    kept.values.resize(each.value.size_bytes());
    if (kept.count == 0) continue;
    std::memcpy(kept.values.data(), each.value.data, kept.values.size());
    kernels::cast(each.value.data, each.value.dtype, kept.storage.data(), kept.dtype, kept.count);
  }
  is_put_ = true;
}

void WeightAverage::take_back(std::span<const Parameter> parameters) {
  if (!is_put_) fail(ErrorCode::invalid_argument, "weight average: take_back() without put()");
  check(parameters);
  for (const Parameter& each : parameters) {
    const Kept& kept = kept_.find(each.name)->second;
    if (kept.count != 0) std::memcpy(each.value.data, kept.values.data(), kept.values.size());
  }
  is_put_ = false;
}

std::vector<std::string> WeightAverage::names() const {
  std::vector<std::string> names;
  for (const auto& [name, kept] : kept_) names.push_back(name);
  return names;
}

ConstTensorView WeightAverage::average(std::string_view parameter) const {
  const auto found = kept_.find(parameter);
  if (found == kept_.end()) return {};
  return {found->second.storage.data(), found->second.count, found->second.dtype};
}

void WeightAverage::restore(std::uint64_t updates, std::span<const std::pair<std::string, ConstTensorView>> averages) {
  std::map<std::string, Kept, std::less<>> restored;
  for (const auto& [name, tensor] : averages) {
    if (tensor.dtype != DType::f32 && tensor.dtype != DType::f64) {
      fail(ErrorCode::invalid_argument, "weight average: the saved average of '" + name + "' is " +
                                            std::string(name_of(tensor.dtype)) + "; they are f32 or f64");
    }
    Kept kept;
    kept.dtype = tensor.dtype;
    kept.count = tensor.count;
    kept.storage = room_for(tensor.count, tensor.dtype);
    if (tensor.count != 0) std::memcpy(kept.storage.data(), tensor.data, tensor.size_bytes());
    restored[name] = std::move(kept);
  }
  kept_ = std::move(restored);
  updates_ = updates;
  is_put_ = false;
}

}  // namespace trireme
