// SPDX-License-Identifier: Apache-2.0
#include "parallel/sharded_update.hpp"

#include "trireme/base/error.hpp"

#include <cstdint>
#include <limits>
#include <utility>

namespace trireme::parallel {

ShardedUpdate::ShardedUpdate(Communicator all, Communicator group, std::vector<Parameter> parameters,
                             const ShardPlan& shards, std::vector<bool> whole, ShardedValues& values,
                             std::optional<std::chrono::milliseconds> deadline)
    : all_(std::move(all)),
      parameters_(std::move(parameters)),
      whole_(std::move(whole)),
      deadline_(deadline),
      values_(values),
      norm_(group, parameters_, shards, whole_, deadline),
      sums_(group, deadline) {
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    owned_.push_back(whole_[p] ? layout::Interval{0, parameters_[p].value.count} : shards.owned(p, group.rank()));
    for (int rank = 0; rank < group.size() && cut_.empty() && !whole_[p]; ++rank) {
      const std::size_t owned = shards.owned(p, rank).size();
      if (owned != 0 && owned != parameters_[p].value.count) cut_ = parameters_[p].name;
    }
  }
}

void ShardedUpdate::check(const Optimizer& optimizer) const {
  if (optimizer.scope() != UpdateScope::tensor || cut_.empty()) return;
  fail(ErrorCode::invalid_argument, "apply(): " + std::string(optimizer.name()) + " sees whole tensors, but '" + cut_ +
                                        "' lies on several ranks: set DataParallelOptions::zero_whole_tensors");
}

/// Ranks must refuse together, in all groups: those that did not would wait for the others' values, or go on without them.
void ShardedUpdate::check_state(const Optimizer& optimizer) {
  std::int64_t wrong = std::numeric_limits<std::int64_t>::max();
  for (std::size_t p = parameters_.size(); p-- > 0;) {
    const auto state = optimizer.states().find(parameters_[p].name);
    if (state == optimizer.states().end()) continue;
    const bool same =
        state->second.count == owned_[p].size() && (owned_[p].size() == 0 || state->second.first == owned_[p].begin);
    if (!same) wrong = static_cast<std::int64_t>(p);
  }
  all_.all_reduce(std::span(&wrong, 1), minimum, {.deadline = deadline_, .label = "optimizer state"});
  if (wrong == std::numeric_limits<std::int64_t>::max()) return;
  fail(ErrorCode::invalid_argument,
       "apply(): " + std::string(optimizer.name()) + " has state of other elements of parameter '" +
           parameters_[static_cast<std::size_t>(wrong)].name +
           "' than are owned now: on other ranks (rebind()) restore a checkpoint, or forget() the state");
}

void ShardedUpdate::GroupSums::sum(std::span<double> block_sums) {
  group_.all_reduce(block_sums, trireme::sum, {.deadline = deadline_, .label = "sums of tensors"});
}

void ShardedUpdate::apply(Optimizer& optimizer, GradientSynchronizer& gradients, double scale, double clip_value,
                          const StepTrace& trace) {
  values_.before_update();
  if (checked_ != &optimizer) check_state(optimizer);
  checked_ = &optimizer;
  {
    const auto span = trace.on_steps("optimizer");
    for (const bool whole : {false, true}) {
      updates_.clear();
      for (std::size_t p = 0; p < parameters_.size(); ++p) {
        const Parameter& parameter = parameters_[p];
        if (whole_[p] != whole || !gradients.used(p)) continue;
        updates_.push_back({.parameter = parameter.name,
                            .value = whole ? parameter.value : values_.part(p),
                            .gradient = gradients.gradient(p),
                            .shape = parameter.shape,
                            .first = owned_[p].begin});
      }
      if (!updates_.empty()) optimizer.apply(updates_, scale, clip_value, whole ? nullptr : &sums_);
    }
  }
  const auto span = trace.on_steps("gather values");
  values_.after_update();
}

}  // namespace trireme::parallel
