// SPDX-License-Identifier: Apache-2.0
#include "parallel/sharded_update.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <cstdint>
#include <exception>
#include <limits>
#include <span>
#include <utility>

namespace trireme::parallel {

ShardedUpdate::ShardedUpdate(Communicator all, Communicator group, std::vector<Parameter> parameters,
                             const ShardPlan& shards, std::vector<bool> whole, ShardedValues& values,
                             const std::optional<Communicator>& tensor_axis,
                             std::optional<std::chrono::milliseconds> deadline)
    : all_(std::move(all)),
      parameters_(std::move(parameters)),
      whole_(std::move(whole)),
      has_state_(parameters_.size(), false),
      deadline_(deadline),
      values_(values),
      norm_(group, parameters_, shards, whole_, deadline),
      sums_(group, tensor_axis, deadline),
      whole_sums_(std::nullopt, tensor_axis, deadline) {
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

void ShardedUpdate::check_state(const Optimizer& optimizer) const {
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    const auto state = optimizer.states().find(parameters_[p].name);
    if (state == optimizer.states().end()) continue;
    const bool same =
        state->second.count == owned_[p].size() && (owned_[p].size() == 0 || state->second.first == owned_[p].begin);
    if (same) continue;
    fail(
        ErrorCode::invalid_argument,
        std::string(optimizer.name()) + " has state of other elements of parameter '" + parameters_[p].name +
            "' than are owned now: restore it by OptimizerState with ownership(), also after rebind(), or forget() it");
  }
}

/// Ranks must refuse together, in all groups: those that did not would wait for the others' values, or go on without them.
void ShardedUpdate::agree(const Error& refusal) {
  constexpr std::int64_t nobody = std::numeric_limits<std::int64_t>::max();
  std::int64_t first = refusal.code == ErrorCode::none ? nobody : all_.rank();
  all_.all_reduce(std::span(&first, 1), minimum, {.deadline = deadline_, .label = "optimizer state"});
  if (first == nobody) return;
  const std::string mine = static_cast<char>(refusal.code) + refusal.message;
  const auto said = all_.broadcast_bytes(std::as_bytes(std::span<const char>(mine)), static_cast<int>(first),
                                         {.deadline = deadline_, .label = "optimizer state"});
  const std::string text(reinterpret_cast<const char*>(said.data()), said.size());
  fail(static_cast<ErrorCode>(text.at(0)), "apply(): rank " + std::to_string(first) + ": " + text.substr(1));
}

/// A parameter's state is made at its first step. Which steps are first follows from what all ranks know alike, the parameters
/// used, so that only those ask.
void ShardedUpdate::make_states(Optimizer& optimizer, const GradientSynchronizer& gradients) {
  const bool anew = checked_ != &optimizer || optimizer.states().empty();
  bool asks = anew;
  for (std::size_t p = 0; p < parameters_.size(); ++p) asks = asks || (gradients.used(p) && !has_state_[p]);
  if (!asks) return;
  Error refusal;
  std::vector<std::string> made;
  try {
    if (anew) check_state(optimizer);
    made = optimizer.make_states(parts_, &sums_);
    const auto more = optimizer.make_states(wholes_, &whole_sums_);
    made.insert(made.end(), more.begin(), more.end());
  } catch (const Exception& exception) {
    refusal = exception.error();
  } catch (const std::exception& exception) {
    refusal.code = ErrorCode::system;
    refusal.message = std::string(optimizer.name()) + " cannot make its state: " + exception.what();
  }
  try {
    agree(refusal);
  } catch (...) {
    for (const std::string& parameter : made) optimizer.forget(parameter);
    throw;
  }
  if (anew) std::fill(has_state_.begin(), has_state_.end(), false);
  for (std::size_t p = 0; p < parameters_.size(); ++p) has_state_[p] = has_state_[p] || gradients.used(p);
  checked_ = &optimizer;
}

void ShardedUpdate::collect(GradientSynchronizer& gradients) {
  parts_.clear();
  wholes_.clear();
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    const Parameter& parameter = parameters_[p];
    if (!gradients.used(p)) continue;
    (whole_[p] ? wholes_ : parts_)
        .push_back({.parameter = parameter.name,
                    .value = whole_[p] ? parameter.value : values_.part(p),
                    .gradient = gradients.gradient(p),
                    .shape = parameter.shape,
                    .first = owned_[p].begin,
                    .is_share = !parameter.logical_shape.empty()});
  }
}

void ShardedUpdate::apply(Optimizer& optimizer, GradientSynchronizer& gradients, double scale, double clip_value,
                          const StepTrace& trace) {
  values_.before_update();
  collect(gradients);
  make_states(optimizer, gradients);
  {
    const auto span = trace.on_steps("optimizer");
    if (!parts_.empty()) optimizer.apply(parts_, scale, clip_value, &sums_);
    if (!wholes_.empty())
      optimizer.apply(wholes_, scale, clip_value, whole_sums_.completes_shares() ? &whole_sums_ : nullptr);
  }
  const auto span = trace.on_steps("gather values");
  values_.after_update();
}

}  // namespace trireme::parallel
