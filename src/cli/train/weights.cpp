// SPDX-License-Identifier: Apache-2.0
#include "cli/train/weights.hpp"

#include "kernels/cast/cast.hpp"

namespace trireme::cli {
namespace {

constexpr std::size_t alignment = data::AlignedBuffer<std::byte>::alignment;

std::size_t aligned(std::size_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

void convert(const TensorView& from, const TensorView& to) {
  kernels::cast(to.data, to.dtype, from.data, from.dtype, from.count);
}

}  // namespace

Weights::Weights(const std::vector<Parameter>& model, std::span<const Parameter> buffers, Precision precision,
                 const std::optional<AverageChoice>& average)
    : model_(model) {
  narrow(precision);
  if (average) {
    average_.emplace(average->rule);
    average_from_ = average->from_step;
    averaged_ = parameters();
    averaged_.insert(averaged_.end(), buffers.begin(), buffers.end());
  }
}

void Weights::narrow(Precision precision) {
  if (precision == Precision::f32) return;
  if (precision == Precision::f16) scaler_.emplace();
  Narrow narrow{
      .dtype = precision == Precision::f16 ? DType::f16 : DType::bf16, .values{}, .gradients{}, .parameters{}};
  std::size_t bytes = 0;
  for (const Parameter& each : model_) bytes += aligned(each.value.count * size_of(narrow.dtype));
  narrow.values = data::AlignedBuffer<std::byte>(bytes);
  narrow.gradients = data::AlignedBuffer<std::byte>(bytes);
  std::size_t offset = 0;
  for (const Parameter& each : model_) {
    narrow.parameters.push_back({each.name, each.shape,
                                 TensorView(narrow.values.data() + offset, each.value.count, narrow.dtype),
                                 TensorView(narrow.gradients.data() + offset, each.value.count, narrow.dtype)});
    convert(each.value, narrow.parameters.back().value);
    offset += aligned(each.value.count * size_of(narrow.dtype));
  }
  narrow_ = std::move(narrow);
  settle();
}

void Weights::gradient_ready(std::size_t parameter) {
  if (narrow_) round(parameter, 0, model_[parameter].gradient.count);
}

void Weights::gradient_ready(std::size_t parameter, std::span<const std::uint32_t> rows) {
  if (!narrow_) return;
  const auto all = static_cast<std::size_t>(model_[parameter].shape.front());
  const std::size_t width = model_[parameter].gradient.count / all;
  for (const std::uint32_t row : rows) round(parameter, row * width, width);
}

void Weights::round(std::size_t parameter, std::size_t begin, std::size_t count) {
  const std::span<float> gradient = model_[parameter].gradient.as<float>().subspan(begin, count);
  if (scaler_) {
    const auto scale = static_cast<float>(scaler_->scale());
    for (float& each : gradient) each *= scale;
  }
  auto* narrow = static_cast<std::byte*>(narrow_->parameters[parameter].gradient.data);
  kernels::cast(narrow + begin * size_of(narrow_->dtype), narrow_->dtype, gradient.data(), DType::f32, count);
}

void Weights::updated(std::uint64_t step) {
  settle();
  if (average_ && step >= average_from_) average_->update(averaged_);
}

void Weights::settle() {
  if (!narrow_) return;
  for (std::size_t p = 0; p < model_.size(); ++p) convert(narrow_->parameters[p].value, model_[p].value);
}

bool Weights::show_average() {
  if (!average_ || average_->updates() == 0) return false;
  average_->put(averaged_);
  settle();
  return true;
}

void Weights::hide_average() {
  average_->take_back(averaged_);
  settle();
}

}  // namespace trireme::cli
