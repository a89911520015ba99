// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/tensor_view.hpp"
#include "trireme/parallel/step_outcome.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace trireme::parallel {

/// How gradients of this rank's leaves become the weighted mean over all leaves of all ranks. DataParallel drives it;
/// all-reduce is one implementation, the parameter server another.
/// Per step: begin_step; per own leaf in order: begin_leaf, ready…, end_leaf; then reduce; then gradient, used.
/// Threads: one at a time.  Errors: as the communicator's; invalid_argument for calls out of this order.
class GradientSynchronizer {
 public:
  virtual ~GradientSynchronizer() = default;
  virtual void begin_step() = 0;
  /// The next own leaf; `weight` (samples or tokens) may still be changed until its first ready().
  virtual void begin_leaf(double weight) = 0;
  virtual void set_weight(double weight) = 0;
  /// The gradient of `parameter` over the current leaf is in the user's memory. Returns at once; may start to move.
  virtual void ready(std::size_t parameter) = 0;
  /// Of a row-sparse parameter, in `rows` alone: the others count as zero and are not read.
  virtual void ready_rows(std::size_t parameter, std::span<const std::uint32_t> rows) = 0;
  /// Parameters not ready by now count as zero gradients of this leaf.
  virtual void end_leaf() = 0;
  /// Completes every reduction of the step.
  virtual StepOutcome reduce() = 0;

  /// After reduce(): the reduced gradient, in the accumulator type; until the next begin_step(). Where ranks own parts, of the
  /// elements that this one owns, and until values are gathered.
  virtual TensorView gradient(std::size_t parameter) = 0;
  /// Whether the parameter was ready on any leaf of any rank.
  virtual bool used(std::size_t parameter) const = 0;
  /// Whether any rank asked for a checkpoint in this step.
  virtual bool checkpoint_requested() const = 0;
  /// Sum of all leaves' weights; 0: there is nothing to apply.
  virtual double total_weight() const = 0;
};

}  // namespace trireme::parallel
