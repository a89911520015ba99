// SPDX-License-Identifier: Apache-2.0
#include "trireme/pipeline/stage.hpp"

#include "trireme/base/error.hpp"

namespace trireme::pipeline {
namespace {

[[noreturn]] void cannot_split() {
  fail(
      ErrorCode::unsupported,
      "this pipeline stage does backward whole: it has neither backward_input nor backward_weight; take gpipe, 1f1b or "
      "interleaved");
}

}  // namespace

void Stage::backward_input(MicroBatch, ConstTensorView, ConstTensorView, TensorView) { cannot_split(); }
void Stage::backward_weight(MicroBatch, ConstTensorView, ConstTensorView) { cannot_split(); }

}  // namespace trireme::pipeline
