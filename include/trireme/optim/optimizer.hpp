// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/tensor_view.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace trireme {

/// One element-wise update of a span of one parameter. All spans have `value`'s dtype and count.
struct SpanUpdate {
  TensorView value;
  ConstTensorView gradient;
  std::span<const TensorView> state;  ///< one per Optimizer::state_names(), in that order; zero before the first step
  std::uint64_t step = 1;             ///< how many times this parameter has been updated, this time included
  double gradient_scale = 1.0;        ///< multiplies the gradient first (clipping)
};

/// An update rule: settings, declared state, and one formula over spans; no knowledge of ranks. State lives here, by
/// parameter name, so that it can be saved, moved and cut without asking the rule.
/// Order:   elements are independent: any split of a parameter into spans gives the same bits.
/// Threads: one at a time.
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  virtual std::string_view name() const = 0;
  /// The state tensors of a parameter, as they are named in checkpoints.
  virtual const std::vector<std::string>& state_names() const = 0;
  /// The formula. Shape: f32 or f64.
  virtual void update(const SpanUpdate& update) const noexcept = 0;

  virtual double learning_rate() const = 0;
  /// Errors: invalid_argument unless finite and >= 0.
  virtual void set_learning_rate(double learning_rate) = 0;

  /// Counts a step of `parameter` and updates it, allocating zero state the first time.
  /// Errors: invalid_argument when dtype or count differ from the gradient's or from former steps'; unsupported for
  ///         other dtypes than f32 and f64.
  void apply(const std::string& parameter, TensorView value, ConstTensorView gradient, double gradient_scale = 1.0);

  /// The state of one parameter, as apply() keeps it.
  struct State {
    std::uint64_t steps = 0;
    DType dtype = DType::f32;
    std::size_t count = 0;
    std::vector<std::vector<double>> storage;  ///< 8-byte units: aligned for either dtype
    std::vector<TensorView> tensors;           ///< one per state name, views of storage
  };
  const std::map<std::string, State>& states() const { return states_; }

 private:
  std::map<std::string, State> states_;
};

}  // namespace trireme
