// SPDX-License-Identifier: Apache-2.0
// A transformer by its definition, in plain loops over one sequence.
#pragma once

#include "trireme/models/gpt.hpp"

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

namespace trireme::models::samples {

/// One vector by its norm, in plain arithmetic.
inline std::vector<double> plain_norm(const std::vector<double>& x, std::span<const double> gain,
                                      std::span<const double> bias) {
  double mean = 0.0, variance = 0.0;
  for (double value : x) mean += value / static_cast<double>(x.size());
  for (double value : x) variance += (value - mean) * (value - mean) / static_cast<double>(x.size());
  std::vector<double> y(x.size());
  for (std::size_t c = 0; c < x.size(); ++c) y[c] = (x[c] - mean) / std::sqrt(variance + 1e-5) * gain[c] + bias[c];
  return y;
}

inline std::vector<double> plain_dense(const std::vector<double>& x, std::span<const double> weight,
                                       std::span<const double> bias) {
  std::vector<double> y(bias.begin(), bias.end());
  for (std::size_t o = 0; o < y.size(); ++o) {
    for (std::size_t i = 0; i < x.size(); ++i) y[o] += weight[o * x.size() + i] * x[i];
  }
  return y;
}

/// The logits by the definition, in plain loops over one sequence.
inline std::vector<double> plain_logits(const Gpt<double>& model, std::span<const std::uint16_t> tokens) {
  const GptOptions& options = model.options();
  const std::size_t width = options.channels, head_width = width / options.heads;
  std::size_t next = 0;
  const auto take = [&] { return model.parameters()[next++].value.as<double>(); };
  const auto table = take(), positions = take();
  std::vector<std::vector<double>> x(tokens.size(), std::vector<double>(width));
  for (std::size_t t = 0; t < x.size(); ++t) {
    for (std::size_t c = 0; c < width; ++c) x[t][c] = table[tokens[t] * width + c] + positions[t * width + c];
  }
  for (std::size_t l = 0; l < options.layers; ++l) {
    const auto gain1 = take(), bias1 = take(), qkv_weight = take(), qkv_bias = take(), projection = take(),
               projection_bias = take(), gain2 = take(), bias2 = take(), expand = take(), expand_bias = take(),
               contract = take(), contract_bias = take();
    std::vector<std::vector<double>> qkv;
    for (const auto& position : x) qkv.push_back(plain_dense(plain_norm(position, gain1, bias1), qkv_weight, qkv_bias));
    for (std::size_t t = 0; t < x.size(); ++t) {
      std::vector<double> attended(width);
      for (std::size_t h = 0; h < options.heads; ++h) {
        std::vector<double> mass(t + 1);
        double total = 0.0;
        for (std::size_t s = 0; s <= t; ++s) {
          double z = 0.0;
          for (std::size_t c = h * head_width; c < (h + 1) * head_width; ++c) z += qkv[t][c] * qkv[s][width + c];
          total += mass[s] = std::exp(z / std::sqrt(static_cast<double>(head_width)));
        }
        for (std::size_t s = 0; s <= t; ++s) {
          for (std::size_t c = h * head_width; c < (h + 1) * head_width; ++c) {
            attended[c] += mass[s] / total * qkv[s][2 * width + c];
          }
        }
      }
      const auto branch = plain_dense(attended, projection, projection_bias);
      for (std::size_t c = 0; c < width; ++c) x[t][c] += branch[c];
      auto inner = plain_dense(plain_norm(x[t], gain2, bias2), expand, expand_bias);
      for (double& z : inner)
        z *= 0.5 * (1.0 + std::tanh(std::sqrt(2.0 / std::acos(-1.0)) * (z + 0.044715 * z * z * z)));
      const auto mlp = plain_dense(inner, contract, contract_bias);
      for (std::size_t c = 0; c < width; ++c) x[t][c] += mlp[c];
    }
  }
  const auto gain = take(), bias = take();
  std::vector<double> logits;
  const std::vector<double> zero(options.vocabulary);
  for (const auto& position : x) {
    const auto row = plain_dense(plain_norm(position, gain, bias), table, zero);
    logits.insert(logits.end(), row.begin(), row.end());
  }
  return logits;
}

}  // namespace trireme::models::samples
