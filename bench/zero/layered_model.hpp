// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/parameter.hpp"
#include "trireme/base/parameter_access.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace trireme::bench {

/// Its sizes, and the type of its values; gradients are f32.
struct LayeredSize {
  std::size_t layers = 8;
  std::size_t channels = 256;
  std::size_t vocabulary = 1000;
  DType dtype = DType::f32;  ///< or bf16
};

/// A table, and layers of a matrix {4 channels, channels} and two vectors, one of them of odd length. A pass computes nothing
/// but gradients: element e of parameter p over the sample s has value/4 + ((7 e + 13 s + p) mod 17 - 8)/100. It uses its units
/// forwards and then backwards, as a model's passes do.
class LayeredModel {
 public:
  /// `own_values`: it has memory for them, with its initial values; gradients never have memory of its own.
  LayeredModel(const LayeredSize& size, bool own_values);
  LayeredModel(const LayeredModel&) = delete;
  LayeredModel& operator=(const LayeredModel&) = delete;

  const std::vector<Parameter>& parameters() const { return parameters_; }
  const std::vector<std::vector<std::string>>& units() const { return units_; }
  std::size_t elements() const;
  /// Elements [first, first + part.count) of the initial values.
  static void set_initial(std::size_t parameter, std::size_t first, TensorView part);
  /// The gradient of one parameter.
  static void backward(std::size_t parameter, std::uint32_t sample, const TensorView& value,
                       const TensorView& gradient);
  /// First parameter of a unit, and of the one behind it.
  std::size_t first_of(std::size_t unit) const { return unit == 0 ? 0 : 1 + (unit - 1) * per_layer; }

 private:
  static constexpr std::size_t per_layer = 3;
  std::vector<std::vector<std::byte>> values_;
  std::vector<Parameter> parameters_;
  std::vector<std::vector<std::string>> units_;
};

}  // namespace trireme::bench
