// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "training.hpp"
#include "unit/parallel/row_field.hpp"

#include <limits>

namespace trireme::testing {

/// A model without a model, of matrices, one of them more than one reduction block, a vector and a scalar.
class FieldModel {
 public:
  /// In that step the first gradient overflows.
  FieldModel(DType dtype, std::uint64_t overflows_at)
      : field_({{"weight", {6, 11}}, {"bias", {5}}, {"large", {41, 100}}, {"last", {1}}}, dtype, dtype),
        overflows_at_(overflows_at) {}

  const std::vector<Parameter>& parameters() const { return field_.parameters(); }
  std::vector<Parameter> buffers() const { return {}; }
  void begin_step(std::size_t) {}
  void pass(Shard& shard, const LeafPlace& place) {
    for (std::size_t p = parameters().size(); p-- > 0;) {
      field_.backward(p, shard.samples(), 0.0);
      const TensorView gradient = parameters()[p].gradient;
      for (std::size_t e = 0; place.scale != 1.0 && e < gradient.count; ++e) {
        const double scaled = place.scale * kernels::reference::load(gradient.data, gradient.dtype, e);
        kernels::reference::store(gradient.data, gradient.dtype, e, scaled);
      }
      if (p == 0 && place.first_row == 0 && place.step == overflows_at_)
        kernels::reference::store(gradient.data, gradient.dtype, 0, std::numeric_limits<double>::infinity());
      shard.ready(p);
    }
  }
  void end_step(Communicator&, int) {}

  static constexpr std::uint64_t never = ~std::uint64_t{0};

 private:
  RowField field_;
  std::uint64_t overflows_at_;
};

/// Training with an update rule. f16 with a loss scale, which the step before the fifth ends changes.
template <class MakeOptimizer>
MakeTraining rule_training(MakeOptimizer make_optimizer, DType dtype, TrainingSettings settings = {}) {
  settings.scales_loss = dtype == DType::f16;
  const std::uint64_t overflows_at = settings.scales_loss ? 4 : FieldModel::never;
  return training_of<FieldModel>(make_optimizer, settings,
                                 [=](World&) { return std::make_unique<FieldModel>(dtype, overflows_at); });
}

}  // namespace trireme::testing
