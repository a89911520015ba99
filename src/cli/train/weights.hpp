// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/options.hpp"
#include "cli/train/tasks/task.hpp"
#include "trireme/base/parameter.hpp"
#include "trireme/data/aligned_buffer.hpp"
#include "trireme/device/owned.hpp"
#include "trireme/optim/loss_scaler.hpp"
#include "trireme/optim/weight_average.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace trireme::cli {

/// What is trained of a model whose layers compute in f32: its parameters themselves, or, with a precision of 16 bits, rounded
/// ones of which the model has the values again widened. Their gradients are then rounded to 16 bits as well, multiplied
/// before by the loss scale, so that small ones do not vanish in f16. With an average of the weights, where that stands in
/// their place and where not.
/// Order:   elements are independent: the same bits on any number of ranks.
/// Threads: one at a time.
class Weights {
 public:
  /// `model`, its parameters, must stay where they are. Of 16 bits their values are rounded at once. `buffers`, its values without
  /// gradients, are averaged with them.
  /// Of a model on a `device` all of it is there, and done in the order of its stream, with the same bits.
  Weights(const std::vector<Parameter>& model, std::span<const Parameter> buffers, Precision precision,
          const std::optional<AverageChoice>& average, const std::optional<TaskDevice>& device = {});
  /// Waits for the stream.
  ~Weights();
  Weights(const Weights&) = delete;

  /// What DataParallel trains.
  const std::vector<Parameter>& parameters() const { return narrow_ ? narrow_->parameters : model_; }
  bool is_narrow() const { return narrow_.has_value(); }
  /// Null where losses are not scaled.
  LossScaler* loss_scaler() { return scaler_ ? &*scaler_ : nullptr; }

  /// Null where weights are not averaged.
  WeightAverage* average() { return average_ ? &*average_ : nullptr; }

  /// From here on the averages are of these parts of parameters(), which begin at `firsts`: what this rank owns of values that no rank
  /// has whole. Before the first update; with f32 alone.
  void average_parts(std::vector<Parameter> parts, std::vector<std::size_t> firsts);

  /// The model's gradient of a parameter is complete; or it is in these rows, and zero in all others.
  void gradient_ready(std::size_t parameter);
  void gradient_ready(std::size_t parameter, std::span<const std::uint32_t> rows);
  /// Parameters were updated for the `step`-th time.
  void updated(std::uint64_t step);
  /// parameters() have been given other values: the model follows.
  void settle();

  /// From here to hide_average() the averages stand in the parameters' places, if there are any yet. False, and nothing to
  /// hide, if not.
  bool show_average();
  void hide_average();

 private:
  struct Narrow {
    DType dtype;
    data::AlignedBuffer<std::byte> values;
    data::AlignedBuffer<std::byte> gradients;
    device::Buffer device_values;  // of a device, instead
    device::Buffer device_gradients;
    std::vector<Parameter> parameters;
  };

  void narrow(Precision precision);
  void convert(const TensorView& from, const TensorView& to) const;
  void round(std::size_t parameter, std::size_t begin, std::size_t count);

  const std::vector<Parameter>& model_;
  std::optional<TaskDevice> device_;
  std::optional<Narrow> narrow_;
  std::optional<LossScaler> scaler_;
  std::optional<WeightAverage> average_;
  std::vector<Parameter> averaged_;  ///< parameters() and the buffers, or parts
  std::vector<std::size_t> firsts_;  ///< of parts: where they begin
  std::uint64_t average_from_ = 1;
};

}  // namespace trireme::cli
