// SPDX-License-Identifier: Apache-2.0
// Features and labels at random, and what tests of models look at.
#pragma once

#include "trireme/data/aligned_buffer.hpp"
#include "trireme/data/philox.hpp"
#include "trireme/data/random.hpp"
#include "trireme/models/classifier.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <vector>

namespace trireme::testing {

template <class T>
struct Samples {
  data::AlignedBuffer<T> features;
  std::vector<std::uint8_t> labels;
  std::size_t inputs;

  ConstTensorView rows(std::size_t begin, std::size_t end) const {
    return {features.data() + begin * inputs, (end - begin) * inputs, dtype_of<T>};
  }
  ConstTensorView all() const { return rows(0, labels.size()); }
  std::span<const std::uint8_t> labels_of(std::size_t begin, std::size_t end) const {
    return std::span(labels).subspan(begin, end - begin);
  }
};

template <class T>
Samples<T> random_samples(std::size_t rows, std::size_t inputs, std::size_t classes, std::uint64_t seed = 1) {
  Samples<T> samples{data::AlignedBuffer<T>(rows * inputs), {}, inputs};
  data::PhiloxStream random(seed);
  for (T& x : samples.features.span()) x = static_cast<T>(2.0 * data::unit_interval(random.next()) - 1.0);
  for (std::size_t i = 0; i < rows; ++i) {
    samples.labels.push_back(static_cast<std::uint8_t>(random.below(static_cast<std::uint32_t>(classes))));
  }
  return samples;
}

/// Of all parameters, in order; T is the model's type.
template <class T>
std::vector<T> gradients_of(const models::Classifier& model) {
  std::vector<T> all;
  for (const Parameter& parameter : model.parameters()) {
    const auto gradient = parameter.gradient.template as<T>();
    all.insert(all.end(), gradient.begin(), gradient.end());
  }
  return all;
}

/// Writes NaN into every gradient.
inline void poison_gradients(const models::Classifier& model) {
  const auto fill = [](auto gradient) {
    std::fill(gradient.begin(), gradient.end(),
              std::numeric_limits<typename decltype(gradient)::value_type>::quiet_NaN());
  };
  for (const Parameter& parameter : model.parameters()) {
    parameter.gradient.dtype == DType::f32 ? fill(parameter.gradient.as<float>())
                                           : fill(parameter.gradient.as<double>());
  }
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

}  // namespace trireme::testing
