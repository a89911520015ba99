// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "parallel/step_trace.hpp"
#include "trireme/optim/optimizer.hpp"
#include "trireme/parallel/gradient_synchronizer.hpp"

namespace trireme::parallel {

/// What applying a step is where this rank does not update all values itself: where ranks own parts, or servers update.
/// Threads: one at a time.  Errors: the communicator's and the optimizer's.
class StepUpdate {
 public:
  virtual ~StepUpdate() = default;
  /// Before anything of the step is applied.
  /// Errors: invalid_argument, the same on every rank, for an optimizer that cannot update so.
  virtual void check(const Optimizer& optimizer) const = 0;
  /// Of all gradients that were used, before clipping. Collective where apply() is.
  virtual double norm(GradientSynchronizer& gradients) = 0;
  /// One step of the parameters that were used; then their new values are there, or will be when they are asked for.
  virtual void apply(Optimizer& optimizer, GradientSynchronizer& gradients, double scale, double clip_value,
                     const StepTrace& trace) = 0;
};

}  // namespace trireme::parallel
