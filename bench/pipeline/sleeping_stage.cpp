// SPDX-License-Identifier: Apache-2.0
#include "bench/pipeline/sleeping_stage.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <thread>

namespace trireme::bench {
namespace {

/// Which stage's output (or, negative, input gradient) of which micro-batch: whole numbers that f32 holds exactly.
float mark(int stage, int micro_batch) { return static_cast<float>(stage * 4096 + micro_batch + 1); }

void expect(ConstTensorView view, float value, int stage, int micro_batch) {
  const auto* data = static_cast<const float*>(view.data);
  for (std::size_t i = 0; i < view.count; ++i) {
    if (data[i] != value)
      fail(ErrorCode::corrupt, "stage " + std::to_string(stage) + " has got something else than micro-batch " +
                                   std::to_string(micro_batch));
  }
}
void fill(TensorView view, float value) {
  const auto elements = view.as<float>();
  std::fill(elements.begin(), elements.end(), value);
}

}  // namespace

void SleepingStage::sleep(std::chrono::nanoseconds time, Clock::time_point begin) {
  constexpr int slices = 4;
  for (int slice = 1; slice <= slices; ++slice) {
    std::this_thread::sleep_until(begin + time * slice / slices);
    if (slice < slices) communicator_.progress();
  }
}

void SleepingStage::forward(pipeline::MicroBatch micro_batch, ConstTensorView input, TensorView output) {
  const auto begin = Clock::now();
  expect(input, mark(stage_ - 1, micro_batch.index), stage_, micro_batch.index);
  fill(output, mark(stage_, micro_batch.index));
  sleep(times_.forward, begin);
}

void SleepingStage::backward(pipeline::MicroBatch micro_batch, ConstTensorView input, ConstTensorView output_gradient,
                             TensorView input_gradient) {
  backward_input(micro_batch, input, output_gradient, input_gradient);
  backward_weight(micro_batch, input, output_gradient);
}

void SleepingStage::backward_input(pipeline::MicroBatch micro_batch, ConstTensorView, ConstTensorView output_gradient,
                                   TensorView input_gradient) {
  const auto begin = Clock::now();
  expect(output_gradient, -mark(stage_ + 1, micro_batch.index), stage_, micro_batch.index);
  fill(input_gradient, -mark(stage_, micro_batch.index));
  sleep(times_.input, begin);
}

void SleepingStage::backward_weight(pipeline::MicroBatch micro_batch, ConstTensorView input,
                                    ConstTensorView output_gradient) {
  const auto begin = Clock::now();
  expect(input, mark(stage_ - 1, micro_batch.index), stage_, micro_batch.index);
  expect(output_gradient, -mark(stage_ + 1, micro_batch.index), stage_, micro_batch.index);
  sleep(times_.weight, begin);
}

}  // namespace trireme::bench
