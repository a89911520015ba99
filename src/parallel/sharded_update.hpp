// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "parallel/shard_plan.hpp"
#include "parallel/sharded_norm.hpp"
#include "parallel/sharded_values.hpp"
#include "parallel/step_trace.hpp"
#include "parallel/step_update.hpp"
#include "parallel/tensor_sums.hpp"
#include "trireme/base/error.hpp"
#include "trireme/base/parameter.hpp"
#include "trireme/comm/communicator.hpp"
#include "trireme/optim/optimizer.hpp"
#include "trireme/parallel/gradient_synchronizer.hpp"

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace trireme::parallel {

/// What applying a step is when every rank owns a part of each parameter: norms, updates of what is owned, values to all. The
/// bits of whole updates. Row-sparse parameters, in no bucket, are updated whole by every rank.
/// Threads: one at a time.  Errors: the communicator's and the optimizer's.
class ShardedUpdate final : public StepUpdate {
 public:
  /// `all`: the ranks that update, of which `group` share the parts. `whole`: a flag for each parameter that is not shared
  /// out; `tensor_axis`: as DataParallelOptions. `values` must outlive this.
  ShardedUpdate(Communicator all, Communicator group, std::vector<Parameter> parameters, const ShardPlan& shards,
                std::vector<bool> whole, ShardedValues& values, const std::optional<Communicator>& tensor_axis,
                std::optional<std::chrono::milliseconds> deadline);

  /// Errors: invalid_argument, the same on every rank of the group, when the rule sees whole tensors and one of them is cut.
  void check(const Optimizer& optimizer) const override;
  /// Before clipping. Collective.
  double norm(GradientSynchronizer& gradients) override { return norm_(gradients); }
  /// One step of the parameters that were used; then every rank has their new values. Collective.
  /// Errors: where a parameter has its first step with this optimizer, the same on every rank, and nothing has changed: what one of them
  ///         cannot do, naming it: invalid_argument for state of elements that it does not own, system where it has no
  ///         room for the state.
  void apply(Optimizer& optimizer, GradientSynchronizer& gradients, double scale, double clip_value,
             const StepTrace& trace) override;

 private:
  void collect(GradientSynchronizer& gradients);
  void make_states(Optimizer& optimizer, const GradientSynchronizer& gradients);
  void check_state(const Optimizer& optimizer) const;
  void agree(const Error& refusal);

  Communicator all_;
  std::vector<Parameter> parameters_;
  std::vector<bool> whole_;
  std::vector<layout::Interval> owned_;  ///< per parameter
  const Optimizer* checked_ = nullptr;   ///< whose state is known to fit
  std::vector<bool> has_state_;          ///< per parameter, on every rank
  std::optional<std::chrono::milliseconds> deadline_;
  std::string cut_;  ///< the name of a parameter that lies on several ranks; empty: there is none
  ShardedValues& values_;
  ShardedNorm norm_;
  TensorSums sums_, whole_sums_;
  std::vector<Optimizer::TensorUpdate> parts_, wholes_;  // working memory of apply()
};

}  // namespace trireme::parallel
