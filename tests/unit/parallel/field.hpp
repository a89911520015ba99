// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/exact_inputs.hpp"
#include "trireme/base/parameter.hpp"
#include "trireme/data/distributed_sampler.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

namespace trireme::testing {

/// A model without a model: the gradient of element e of parameter p over one sample s is value*a(s,p,e) + b(s,p,e), of a
/// shard the mean over its samples, summed in their order. Depends on parameters and samples only; the bits of its sums
/// depend on every bracket.
template <class T>
class Field {
 public:
  explicit Field(const std::vector<std::size_t>& counts, std::uint64_t seed = 1) {
    for (std::size_t p = 0; p < counts.size(); ++p) {
      values_.emplace_back(counts[p]);
      gradients_.emplace_back(counts[p]);
      for (std::size_t e = 0; e < counts[p]; ++e) values_[p][e] = static_cast<T>(draw(seed + 1000, p, e));
      parameters_.push_back({"parameter" + std::to_string(p),
                             {static_cast<std::int64_t>(counts[p])},
                             std::span<T>(values_[p]),
                             std::span<T>(gradients_[p])});
    }
  }
  Field(const Field&) = delete;
  Field& operator=(const Field&) = delete;

  /// Overwrites the gradient of parameter `p` with its mean over `samples`.
  void backward(std::size_t p, std::span<const std::uint32_t> samples) {
    for (std::size_t e = 0; e < values_[p].size(); ++e) gradient(p)[e] = gradient_of(p, e, values_[p][e], samples);
  }
  /// All parameters, the last one first, each announced.
  template <class Ready>
  void backward(std::span<const std::uint32_t> samples, Ready ready) {
    for (std::size_t p = values_.size(); p-- > 0;) {
      backward(p, samples);
      ready(p);
    }
  }
  static T gradient_of(std::size_t p, std::size_t e, T value, std::span<const std::uint32_t> samples) {
    T sum{};
    for (const std::uint32_t s : samples) {
      const T a = static_cast<T>(1.0 + 0.5 * draw(s, p, 2 * e));
      const T b = static_cast<T>(draw(s, p, 2 * e + 1));
      sum += value * a + b;
    }
    return sum / static_cast<T>(samples.size());
  }

  const std::vector<Parameter>& parameters() const { return parameters_; }
  const std::vector<T>& value(std::size_t p) const { return values_[p]; }
  std::span<T> gradient(std::size_t p) { return parameters_[p].gradient.template as<T>(); }
  /// From here on backward() writes where the gradients of `parameters` lie.
  void use_gradients(const std::vector<Parameter>& parameters) {
    for (std::size_t p = 0; p < parameters_.size(); ++p) parameters_[p].gradient = parameters[p].gradient;
  }
  /// The raw bytes of all parameters, in order.
  std::string bytes() const {
    std::string all;
    for (const auto& each : values_) all.append(reinterpret_cast<const char*>(each.data()), each.size() * sizeof(T));
    return all;
  }

 private:
  static double draw(std::uint64_t stream, std::size_t p, std::size_t e) {
    return static_cast<double>(mix((stream * 64 + p) * 0x100000u + e) >> 11) * 0x1p-52 - 1.0;
  }

  std::vector<std::vector<T>> values_, gradients_;
  std::vector<Parameter> parameters_;
};

/// The order in which values of a balanced tree are added: a node of n splits at the largest power of two below n.
/// Written from the contract, not from the library.
template <class T, class Leaf>
T tree_sum(int first, int count, Leaf leaf) {
  if (count == 1) return leaf(first);
  int left = 1;
  while (2 * left < count) left *= 2;
  const T a = tree_sum<T>(first, left, leaf);
  const T b = tree_sum<T>(first + left, count - left, leaf);
  return a + b;
}

}  // namespace trireme::testing
