// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cast/reference.hpp"
#include "support/exact_inputs.hpp"
#include "trireme/base/parameter.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace trireme::testing {

/// A model without a model whose samples touch few rows: sample s touches row r of a parameter once in `rarity` times. The
/// gradient of an element is the mean over the samples that touch it of value*a(s,e) + b(s,e), and -0 here and there.
class RowField {
 public:
  struct Table {
    std::string name;
    std::vector<std::int64_t> shape;
    std::uint64_t rarity = 1;
  };

  RowField(const std::vector<Table>& tables, DType dtype, DType gradient_dtype) : tables_(tables) {
    for (std::size_t p = 0; p < tables.size(); ++p) {
      std::size_t count = 1;
      for (const auto extent : tables[p].shape) count *= static_cast<std::size_t>(extent);
      values_.emplace_back(count * size_of(dtype));
      gradients_.emplace_back(count * size_of(gradient_dtype));
      parameters_.push_back({tables[p].name, tables[p].shape, TensorView(values_[p].data(), count, dtype),
                             TensorView(gradients_[p].data(), count, gradient_dtype)});
      for (std::size_t e = 0; e < count; ++e) kernels::reference::store(values_[p].data(), dtype, e, draw(7, p, e));
    }
  }
  RowField(const RowField&) = delete;
  RowField& operator=(const RowField&) = delete;

  std::vector<std::uint32_t> rows(std::size_t p, std::span<const std::uint32_t> samples) const {
    std::set<std::uint32_t> touched;
    for (const std::uint32_t s : samples) {
      for (std::uint32_t r = 0; r < static_cast<std::uint32_t>(tables_[p].shape[0]); ++r) {
        if (touches(s, p, r)) touched.insert(r);
      }
    }
    return {touched.begin(), touched.end()};
  }
  /// Writes the rows that `samples` touch and returns which those are; all others hold `elsewhere`.
  std::vector<std::uint32_t> backward(std::size_t p, std::span<const std::uint32_t> samples, double elsewhere) {
    const TensorView gradient = parameters_[p].gradient;
    const auto touched = rows(p, samples);
    for (std::size_t e = 0; e < gradient.count; ++e)
      kernels::reference::store(gradient.data, gradient.dtype, e, elsewhere);
    for (const std::uint32_t r : touched) {
      const std::size_t columns = gradient.count / static_cast<std::size_t>(tables_[p].shape[0]);
      for (std::size_t e = r * columns; e < (r + 1) * columns; ++e) {
        double sum = 0.0;
        const double value = kernels::reference::load(parameters_[p].value.data, parameters_[p].value.dtype, e);
        for (const std::uint32_t s : samples) {
          if (touches(s, p, r)) sum += value * draw(s + 100, p, 2 * e) + draw(s + 100, p, 2 * e + 1);
        }
        const bool negative_zero = mix(samples[0] * 1000 + e) % 7 == 0;
        kernels::reference::store(gradient.data, gradient.dtype, e,
                                  negative_zero ? -0.0 : sum / static_cast<double>(samples.size()));
      }
    }
    return touched;
  }

  const std::vector<Parameter>& parameters() const { return parameters_; }
  std::vector<Parameter> parameters_without_gradients() const {
    std::vector<Parameter> list = parameters_;
    for (Parameter& each : list) each.gradient.data = nullptr;
    return list;
  }
  void use_gradients(const std::vector<Parameter>& parameters) {
    for (std::size_t p = 0; p < parameters_.size(); ++p) parameters_[p].gradient = parameters[p].gradient;
  }
  /// The raw bytes of all parameters, in order.
  std::string bytes() const {
    std::string all;
    for (const auto& each : values_) all.append(reinterpret_cast<const char*>(each.data()), each.size());
    return all;
  }

 private:
  bool touches(std::uint32_t sample, std::size_t p, std::uint32_t row) const {
    return mix((sample * 64 + p) * 0x100000u + row) % tables_[p].rarity == 0;
  }
  static double draw(std::uint64_t stream, std::size_t p, std::size_t e) {
    return static_cast<double>(mix((stream * 64 + p) * 0x100000u + e) >> 11) * 0x1p-52 - 1.0;
  }

  std::vector<Table> tables_;
  std::vector<std::vector<std::byte>> values_, gradients_;
  std::vector<Parameter> parameters_;
};

}  // namespace trireme::testing
