// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bench/train_step/trainee.hpp"
#include "trireme/models/gpt.hpp"

namespace trireme::bench {

/// A transformer over bytes of a synthetic text of 8192 rows, one after the other: words of eight random bytes, drawn from
/// 64. Byte i is byte i mod 8 of word (output i/8 of SplitMix64 started at 1) mod 64; byte j of word w is the lowest byte of
/// output 8w + j of the one started at 2. A sample is a row and the byte behind it.
class TextTrainee final : public Trainee {
 public:
  explicit TextTrainee(const TrainStepOptions& options);
  std::string data() const override { return "words"; }
  std::size_t samples() const override;
  const std::vector<Parameter>& parameters() const override { return model_.parameters(); }
  void use_gradients(std::span<const Parameter> parameters) override { model_.use_gradients(parameters); }
  void gather(std::span<const std::uint32_t> samples) override;
  double pass(const std::function<void(std::size_t parameter)>& ready) override;

 private:
  models::Gpt<float> model_;
  std::vector<std::uint16_t> text_;
  std::vector<std::uint16_t> batch_;
  std::size_t rows_ = 0;
};

}  // namespace trireme::bench
