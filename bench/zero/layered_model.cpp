// SPDX-License-Identifier: Apache-2.0
#include "bench/zero/layered_model.hpp"

#include <bit>

namespace trireme::bench {
namespace {

float load(const TensorView& view, std::size_t e) {
  if (view.dtype == DType::f32) return static_cast<const float*>(view.data)[e];
  return std::bit_cast<float>(static_cast<std::uint32_t>(static_cast<const std::uint16_t*>(view.data)[e]) << 16);
}

}  // namespace

LayeredModel::LayeredModel(const LayeredSize& size, bool own_values) {
  const auto add = [&](std::string name, std::vector<std::int64_t> shape) {
    std::size_t count = 1;
    for (const auto extent : shape) count *= static_cast<std::size_t>(extent);
    const std::size_t p = parameters_.size();
    values_.emplace_back(own_values ? count * size_of(size.dtype) : 0);
    TensorView value(own_values ? values_.back().data() : nullptr, count, size.dtype);
    if (own_values) set_initial(p, 0, value);
    parameters_.push_back({std::move(name), std::move(shape), value, TensorView(nullptr, count, DType::f32)});
  };
  const auto channels = static_cast<std::int64_t>(size.channels);
  add("table", {static_cast<std::int64_t>(size.vocabulary), channels});
  units_.push_back({"table"});
  for (std::size_t l = 0; l < size.layers; ++l) {
    const std::string layer = "layer" + std::to_string(l);
    add(layer + ".weight", {4 * channels, channels});
    add(layer + ".bias", {4 * channels});
    add(layer + ".scale", {channels + 5});
    units_.push_back({layer + ".*"});
  }
}

std::size_t LayeredModel::elements() const {
  std::size_t sum = 0;
  for (const Parameter& parameter : parameters_) sum += parameter.value.count;
  return sum;
}

void LayeredModel::set_initial(std::size_t parameter, std::size_t first, TensorView part) {
  for (std::size_t i = 0; i < part.count; ++i) {
    const auto start =
        static_cast<float>(static_cast<int>((first + i + 3 * parameter) % 257) - 128) / 128.0f;  // exact in bf16
    if (part.dtype == DType::f32) {
      static_cast<float*>(part.data)[i] = start;
    } else {
      static_cast<std::uint16_t*>(part.data)[i] = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(start) >> 16);
    }
  }
}

void LayeredModel::backward(std::size_t parameter, std::uint32_t sample, const TensorView& value,
                            const TensorView& gradient) {
  auto* const to = static_cast<float*>(gradient.data);
  for (std::size_t e = 0; e < value.count; ++e) {
    const auto phase = static_cast<int>((7 * e + std::size_t{13} * sample + parameter) % 17) - 8;
    to[e] = load(value, e) * 0.25f + static_cast<float>(phase) * 0.01f;
  }
}

}  // namespace trireme::bench
