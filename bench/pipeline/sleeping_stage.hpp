// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/communicator.hpp"
#include "trireme/pipeline/stage.hpp"

#include <chrono>

namespace trireme::bench {

/// How long a stage sleeps.
struct SleepTimes {
  std::chrono::nanoseconds forward{};
  std::chrono::nanoseconds input{};
  std::chrono::nanoseconds weight{};
};

/// A stage that sleeps instead of computing, lets bytes move four times in each sleep, and writes into every element of
/// what it gives which stage and micro-batch it is from; the stages beside it look.
class SleepingStage final : public pipeline::Stage {
 public:
  SleepingStage(const Communicator& communicator, int stage) : communicator_(communicator), stage_(stage) {}
  void set_times(const SleepTimes& times) { times_ = times; }

  void forward(pipeline::MicroBatch micro_batch, ConstTensorView input, TensorView output) override;
  void backward(pipeline::MicroBatch micro_batch, ConstTensorView input, ConstTensorView output_gradient,
                TensorView input_gradient) override;
  bool splits_backward() const override { return true; }
  void backward_input(pipeline::MicroBatch micro_batch, ConstTensorView input, ConstTensorView output_gradient,
                      TensorView input_gradient) override;
  void backward_weight(pipeline::MicroBatch micro_batch, ConstTensorView input,
                       ConstTensorView output_gradient) override;

 private:
  using Clock = std::chrono::steady_clock;
  /// Until `time` after `begin`: what a call writes and compares is part of its time.
  void sleep(std::chrono::nanoseconds time, Clock::time_point begin);
  Communicator communicator_;
  int stage_;
  SleepTimes times_;
};

}  // namespace trireme::bench
