// SPDX-License-Identifier: Apache-2.0
#include "parallel/step_state.hpp"

#include "parallel/gradient_norm.hpp"
#include "trireme/base/error.hpp"

#include <chrono>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

namespace trireme::parallel {

void StepState::begin(data::DistributedSampler* sampler, std::uint64_t number) {
  sampler_ = sampler;
  numbered_ = sampler != nullptr;
  batch_ = numbered_ ? sampler->batch() : std::span<const std::uint32_t>{};
  cursor_ = numbered_ ? sampler->cursor() : data::SamplerCursor{.step = number};
  passed_ = 0;
  started_ = in_shard_ = reduced_ = applied_ = false;
  outcome_ = StepOutcome::ready;
  norm_ = 0.0;
  norm_on_device_ = false;
  synchronizer_.begin_step();
}

bool StepState::restart_shards() {
  if (started_) fail(ErrorCode::invalid_argument, "shards() of a step can be iterated once");
  started_ = true;
  return next_shard();
}

bool StepState::next_shard() {
  if (in_shard_) {
    synchronizer_.end_leaf();
    in_shard_ = false;
    ++passed_;
  }
  if (!numbered_ && passed_ < own_.passes) {
    shard_.samples_ = {};
    synchronizer_.begin_leaf(1.0);
    in_shard_ = true;
    return true;
  }
  while (passed_ < own_.passes) {
    shard_.samples_ = passed_ < own_.count ? data::DistributedSampler::leaf(batch_, leaves_, own_.leaf(passed_))
                                           : std::span<const std::uint32_t>{};
    synchronizer_.begin_leaf(static_cast<double>(shard_.samples_.size()));
    if (!shard_.samples_.empty() || passes_all_) {
      in_shard_ = true;
      return true;
    }
    synchronizer_.end_leaf();
    ++passed_;
  }
  return false;
}

void StepState::set_weight(double weight) {
  if (numbered_ && in_shard_ && shard_.samples_.empty() && weight != 0.0) {
    fail(ErrorCode::invalid_argument, "weight(): a shard without samples has weight 0, not " + std::to_string(weight));
  }
  synchronizer_.set_weight(weight);
}

StepOutcome StepState::reduce() {
  if (reduced_) fail(ErrorCode::invalid_argument, "reduce() is called twice in one step");
  if (!started_ && passes_all_) {
    fail(ErrorCode::invalid_argument,
         "reduce(): at zero_stage 3 every rank passes all its shards, also those without samples: iterate shards()");
  }
  // A rank whose leaves are all empty, or that has run out of data, needs no loop.
  if (!started_) numbered_ ? static_cast<void>(restart_shards()) : pass_empty_leaves();
  const auto began = std::chrono::steady_clock::now();
  outcome_ = synchronizer_.reduce();
  reduction_seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  reduced_ = true;
  return outcome_;
}

ApplyOutcome StepState::apply(Optimizer& optimizer, const ApplyOptions& options) {
  if (!reduced_) fail(ErrorCode::invalid_argument, "apply() comes after reduce()");
  if (applied_) fail(ErrorCode::invalid_argument, "apply() is called twice in one step");
  for (const auto& [name, value] :
       {std::pair("clip_norm", options.clip_norm), std::pair("clip_value", options.clip_value)}) {
    if (!std::isfinite(value) || value < 0)
      fail(ErrorCode::invalid_argument, std::string(name) + " must be finite and at least 0");
  }
  if (device_norm_) {
    const auto theirs = optimizer.device_stream();
    if (theirs && theirs->pointer != device_norm_->stream().pointer) {
      fail(
          ErrorCode::invalid_argument,
          "apply(): the optimizer works on another stream than DataParallelOptions::stream; give use_device() the same");
    }
  }
  check_norm(options);
  check_shares(optimizer, parameters_, tensor_sums_ != nullptr);
  if (update_ != nullptr) update_->check(optimizer);
  applied_ = true;
  done();
  if (synchronizer_.total_weight() == 0.0) return ApplyOutcome::empty;
  double scale = options.loss_scaler != nullptr ? 1.0 / options.loss_scaler->scale() : 1.0;
  const bool checks = options.loss_scaler != nullptr || options.skip_nonfinite;
  // Nobody waits for a norm that only the device wants to know.
  const bool clips_on_device = device_norm_ && options.clip_norm > 0 && !checks && !options.norm;
  if ((options.clip_norm > 0 || checks) && !clips_on_device) norm_ = norm_of_gradients(options) * scale;
  if (checks) {
    const bool finite = std::isfinite(norm_);
    if (options.loss_scaler != nullptr) options.loss_scaler->update(finite);
    if (!finite) return ApplyOutcome::nonfinite;
  }
  DeviceStepScale device_scale;
  if (clips_on_device) {
    const auto norm_span = trace_.on_steps("clip norm");
    device_scale = device_norm_->give(used_gradients(), scale, options.clip_norm);
    norm_on_device_ = true;
  } else if (options.clip_norm > 0) {
    scale *= clip_scale(norm_, options.clip_norm);
  }
  const double clip_value = options.clip_value > 0 ? options.clip_value : std::numeric_limits<double>::infinity();
  if (update_ != nullptr) {
    update_->apply(optimizer, synchronizer_, scale, clip_value, trace_);
    return ApplyOutcome::applied;
  }
  const auto span = trace_.on_steps("optimizer");
  updates_.clear();
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    const Parameter& parameter = parameters_[p];
    if (synchronizer_.used(p))
      updates_.push_back({.parameter = parameter.name,
                          .value = parameter.value,
                          .gradient = synchronizer_.gradient(p),
                          .shape = parameter.shape,
                          .is_share = !parameter.logical_shape.empty()});
  }
  clips_on_device ? optimizer.apply(updates_, device_scale, clip_value, tensor_sums_)
                  : optimizer.apply(updates_, scale, clip_value, tensor_sums_);
  return ApplyOutcome::applied;
}

void StepState::done() {
  if (auto* const sampler = std::exchange(sampler_, nullptr)) sampler->advance();
}

std::span<const TensorView> StepState::used_gradients() {
  gradients_.clear();
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    if (synchronizer_.used(p)) gradients_.push_back(synchronizer_.gradient(p));
  }
  return gradients_;
}

/// A rank that clipped by what it has would go another way than the others of its model, which have some of the same values.
void StepState::check_norm(const ApplyOptions& options) const {
  const char* const what = options.clip_norm > 0            ? "clip_norm"
                           : options.loss_scaler != nullptr ? "loss_scaler"
                           : options.skip_nonfinite         ? "skip_nonfinite"
                                                            : nullptr;
  if (what == nullptr || options.norm) return;
  for (const Parameter& parameter : parameters_) {
    if (!parameter.is_part) continue;
    fail(ErrorCode::invalid_argument, "apply(): " + std::string(what) + " is of a whole model's gradients, and '" +
                                          parameter.name +
                                          "' is of one that other ranks have parts of: set ApplyOptions::norm");
  }
}

double StepState::norm_of_gradients(const ApplyOptions& options) {
  const auto span = trace_.on_steps("clip norm");
  if (options.norm) {
    gradients_.clear();
    for (std::size_t p = 0; p < parameters_.size(); ++p) gradients_.push_back(synchronizer_.gradient(p));
    return options.norm(gradients_);
  }
  if (update_ != nullptr) return update_->norm(synchronizer_);
  return device_norm_ ? (*device_norm_)(used_gradients()) : global_norm(used_gradients());
}

double StepState::norm() {
  if (std::exchange(norm_on_device_, false)) norm_ = device_norm_->norm();
  return norm_;
}

void StepState::conclude() {
  if (!reduced_) reduce();
}

StepOutcome StepState::abandon() {
  if (!started_ || reduced_) return StepOutcome::ready;
  if (in_shard_) {
    synchronizer_.end_leaf();
    in_shard_ = false;
    ++passed_;
  }
  pass_empty_leaves();
  return reduce();
}

void StepState::pass_empty_leaves() {
  started_ = true;
  for (; passed_ < own_.passes; ++passed_) {
    synchronizer_.begin_leaf(0.0);
    synchronizer_.end_leaf();
  }
}

void StepState::check_reduced(const char* call) const {
  if (!reduced_) fail(ErrorCode::invalid_argument, std::string(call) + " comes after reduce()");
}

void StepState::check_reduced(const char* call, std::size_t parameter) const {
  check_reduced(call);
  if (parameter >= parameters_.size()) {
    fail(ErrorCode::invalid_argument, std::string(call) + ": there is no parameter " + std::to_string(parameter) +
                                          " among " + std::to_string(parameters_.size()));
  }
}

}  // namespace trireme::parallel
