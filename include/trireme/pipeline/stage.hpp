// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/tensor_view.hpp"

namespace trireme::pipeline {

/// Which micro-batch, and the place for what a stage keeps of it from forward to the end of its backward.
struct MicroBatch {
  int index = 0;  ///< 0 .. micro-batches - 1
  int slot = 0;   ///< 0 .. Runtime::slots(stage) - 1; no other live micro-batch of this stage has it
};

/// A part of a model, as the runtime calls it. Views of the first stage's input and the last stage's output are empty: the
/// one fetches its data, the other computes the loss.
///
/// Memory:  `input` is the same memory, unchanged, in all calls for a micro-batch; `output_gradient` the same in
///          backward_input and backward_weight. They end with the micro-batch's last call. `output` and `input_gradient` are
///          overwritten whole; they share no memory with the others.
/// Order:   the gradients of the weights come in the order of micro-batches 0, 1, 2, …, whatever the schedule: a stage that
///          adds them (or folds them along a tree) as they come has the same bits under every schedule.
/// Threads: the one that called Runtime::run(). A long call lets bytes move by Communicator::progress() now and then.
class Stage {
 public:
  virtual ~Stage() = default;
  virtual void forward(MicroBatch micro_batch, ConstTensorView input, TensorView output) = 0;
  /// Both halves at once.
  virtual void backward(MicroBatch micro_batch, ConstTensorView input, ConstTensorView output_gradient,
                        TensorView input_gradient) = 0;

  /// Whether it can do the halves apart; schedules that split need it.
  virtual bool splits_backward() const { return false; }
  virtual void backward_input(MicroBatch micro_batch, ConstTensorView input, ConstTensorView output_gradient,
                              TensorView input_gradient);
  virtual void backward_weight(MicroBatch micro_batch, ConstTensorView input, ConstTensorView output_gradient);
};

}  // namespace trireme::pipeline
