// SPDX-License-Identifier: Apache-2.0
// What every test of Gpt needs: a tiny model, rows of tokens, gradients as one vector.
#pragma once

#include "trireme/data/philox.hpp"
#include "trireme/data/random.hpp"
#include "trireme/models/gpt.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

namespace trireme::models::samples {

using Tokens = std::vector<std::uint16_t>;

inline constexpr GptOptions tiny{.vocabulary = 11, .context = 5, .layers = 2, .heads = 2, .channels = 8, .seed = 3};

inline Tokens random_rows(const GptOptions& options, std::size_t rows, std::uint64_t seed = 1) {
  data::PhiloxStream random(seed);
  Tokens tokens(rows * (options.context + 1));
  for (auto& token : tokens) {
    token = static_cast<std::uint16_t>(random.below(static_cast<std::uint32_t>(options.vocabulary)));
  }
  return tokens;
}

/// Values at which no gradient is small by accident: the start has zero biases and tiny weights.
template <class T>
void stir(const Gpt<T>& model) {
  data::PhiloxStream random(77);
  for (const Parameter& parameter : model.parameters()) {
    for (T& value : parameter.value.template as<T>()) {
      value += static_cast<T>(0.6 * data::unit_interval(random.next()) - 0.3);
    }
  }
}

template <class T>
std::vector<T> all_gradients(const Gpt<T>& model) {
  std::vector<T> all;
  for (const Parameter& parameter : model.parameters()) {
    const auto gradient = parameter.gradient.template as<T>();
    all.insert(all.end(), gradient.begin(), gradient.end());
  }
  return all;
}

template <class T>
void spoil_gradients(const Gpt<T>& model) {
  for (const Parameter& parameter : model.parameters()) {
    const auto gradient = parameter.gradient.template as<T>();
    std::fill(gradient.begin(), gradient.end(), std::numeric_limits<T>::quiet_NaN());
  }
}

template <class T>
bool equal_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

inline GptOptions with(GptOptions options, bool recompute, double dropout) {
  options.recompute = recompute;
  options.dropout = dropout;
  return options;
}

}  // namespace trireme::models::samples
