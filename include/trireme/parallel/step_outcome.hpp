// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace trireme {

/// What became of a step's reduction.
enum class StepOutcome : unsigned char {
  ready,  ///< the gradients are reduced: apply them, or drop the step by not applying
  retry,  ///< the membership changed: the same step comes again
  stop,   ///< somebody asked the job to stop: the loop ends after this step
};

}  // namespace trireme
