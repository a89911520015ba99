// SPDX-License-Identifier: Apache-2.0
#include "cli/train/weights.hpp"

#include "kernels/cast/cast.hpp"
#include "kernels/cast/cast_device.hpp"
#include "kernels/pack/pack_device.hpp"
#include "trireme/base/error.hpp"

#include <utility>

namespace trireme::cli {
namespace {

constexpr std::size_t alignment = data::AlignedBuffer<std::byte>::alignment;

std::size_t aligned(std::size_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

}  // namespace

Weights::Weights(const std::vector<Parameter>& model, std::span<const Parameter> buffers, Precision precision,
                 const std::optional<AverageChoice>& average, const std::optional<TaskDevice>& device)
    : model_(model), device_(device) {
  narrow(precision);
  if (average) {
    average_.emplace(average->rule);
    if (device_) average_->use_device(device_->runtime, device_->stream);
    average_from_ = average->from_step;
    averaged_ = parameters();
    averaged_.insert(averaged_.end(), buffers.begin(), buffers.end());
  }
}

Weights::~Weights() {
  if (!device_ || !narrow_) return;
  try {
    device_->runtime->synchronize(device_->stream);
  } catch (const Exception&) {  // the device has failed: nothing runs there any more
  }
}

void Weights::convert(const TensorView& from, const TensorView& to) const {
  if (device_) {
    kernels::cast(to.data, to.dtype, from.data, from.dtype, from.count,
                  device::Queue{*device_->runtime, device_->stream});
  } else {
    kernels::cast(to.data, to.dtype, from.data, from.dtype, from.count);
  }
}

void Weights::narrow(Precision precision) {
  if (precision == Precision::f32) return;
  if (precision == Precision::f16) scaler_.emplace();
  Narrow narrow;
  narrow.dtype = precision == Precision::f16 ? DType::f16 : DType::bf16;
  std::size_t bytes = 0;
  for (const Parameter& each : model_) bytes += aligned(each.value.count * size_of(narrow.dtype));
  std::byte *values = nullptr, *gradients = nullptr;
  if (device_) {
    narrow.device_values = device::Buffer(device_->runtime, device_->stream.device.index, bytes);
    narrow.device_gradients = device::Buffer(device_->runtime, device_->stream.device.index, bytes);
    device_->runtime->fill(narrow.device_gradients.data(), std::byte{0}, bytes, device_->stream);
    values = narrow.device_values.data();
    gradients = narrow.device_gradients.data();
  } else {
    narrow.values = data::AlignedBuffer<std::byte>(bytes);
    narrow.gradients = data::AlignedBuffer<std::byte>(bytes);
    values = narrow.values.data();
    gradients = narrow.gradients.data();
  }
  std::size_t offset = 0;
  for (const Parameter& each : model_) {
    const std::size_t count = each.value.count;
    narrow.parameters.push_back({each.name, each.shape,
                                 TensorView(values + offset, count, narrow.dtype, each.value.device),
                                 TensorView(gradients + offset, count, narrow.dtype, each.value.device)});
    convert(each.value, narrow.parameters.back().value);
    offset += aligned(count * size_of(narrow.dtype));
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
  auto* narrow = static_cast<std::byte*>(narrow_->parameters[parameter].gradient.data);
  std::byte* const rounded = narrow + begin * size_of(narrow_->dtype);
  if (device_) {
    auto* const gradient = static_cast<float*>(model_[parameter].gradient.data) + begin;
    const kernels::PackedTensor all{.data = gradient, .count = count};
    kernels::pack({.buffer = rounded,
                   .buffer_dtype = narrow_->dtype,
                   .tensor_dtype = DType::f32,
                   .tensors = std::span(&all, 1),
                   .scale = scaler_ ? scaler_->scale() : 1.0},
                  device::Queue{*device_->runtime, device_->stream});
    return;
  }
  const std::span<float> gradient = model_[parameter].gradient.as<float>().subspan(begin, count);
  if (scaler_) {
    const auto scale = static_cast<float>(scaler_->scale());
    for (float& each : gradient) each *= scale;
  }
  kernels::cast(rounded, narrow_->dtype, gradient.data(), DType::f32, count);
}

void Weights::average_parts(std::vector<Parameter> parts, std::vector<std::size_t> firsts) {
  if (!average_) return;
  averaged_ = std::move(parts);
  firsts_ = std::move(firsts);
}

void Weights::updated(std::uint64_t step) {
  settle();
  if (average_ && step >= average_from_) average_->update(averaged_, firsts_);
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
