// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "parallel/data_parallel_settings.hpp"
#include "parallel/device_norm.hpp"
#include "parallel/step_trace.hpp"
#include "parallel/step_update.hpp"
#include "parallel/tensor_sums.hpp"
#include "trireme/parallel/data_parallel.hpp"
#include "trireme/parallel/gradient_synchronizer.hpp"

#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace trireme::parallel {

/// What the handles Step, Shards and Shard point to: the step under way.
class StepState {
 public:
  StepState(GradientSynchronizer& synchronizer, const StepTrace& trace, const std::vector<Parameter>& parameters,
            std::shared_ptr<DeviceNorm> device_norm, StepUpdate* update, TensorSums* tensor_sums, int leaves,
            const OwnLeaves& own, bool passes_all)
      : synchronizer_(synchronizer),
        trace_(trace),
        parameters_(parameters),
        device_norm_(std::move(device_norm)),
        update_(update),
        tensor_sums_(tensor_sums),
        leaves_(leaves),
        own_(own),
        passes_all_(passes_all) {
    shard_.step_ = this;
  }

  /// The step at the cursor of `sampler`; null: a step without samples, `number`.
  void begin(data::DistributedSampler* sampler, std::uint64_t number = 0);
  /// To the next own leaf with samples, accounting for the empty ones, unless every leaf is passed; false at the end.
  bool next_shard();
  void set_weight(double weight);
  bool restart_shards();
  StepOutcome reduce();
  ApplyOutcome apply(Optimizer& optimizer, const ApplyOptions& options);
  /// The step has done what it was for: the sampler stands at the next one.
  void done();
  /// Leaves the step in a state from which all ranks can go on together.
  void conclude();
  /// Completes the reductions of a step that was left between shards() and reduce(), so that all ranks have issued the
  /// same ones; its gradients are worth nothing. Collective then; otherwise nothing, and `ready`.
  StepOutcome abandon();
  /// Errors: invalid_argument before reduce(), or when there is no such parameter.
  void check_reduced(const char* call) const;
  void check_reduced(const char* call, std::size_t parameter) const;

  GradientSynchronizer& synchronizer() { return synchronizer_; }
  Shard& shard() { return shard_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }
  data::SamplerCursor cursor() const { return cursor_; }
  std::size_t batch_size() const { return batch_.size(); }
  StepOutcome outcome() const { return outcome_; }
  double reduction_seconds() const { return reduction_seconds_; }
  /// On a device it is asked for now.
  double norm();

 private:
  std::span<const TensorView> used_gradients();
  void check_norm(const ApplyOptions& options) const;
  double norm_of_gradients(const ApplyOptions& options);
  void pass_empty_leaves();
  GradientSynchronizer& synchronizer_;
  const StepTrace& trace_;
  const std::vector<Parameter>& parameters_;
  std::shared_ptr<DeviceNorm> device_norm_;  ///< null: gradients lie on the host
  StepUpdate* update_;                       ///< null: every rank updates all
  TensorSums* tensor_sums_;                  ///< null: there is no tensor axis
  int leaves_;
  OwnLeaves own_;
  bool passes_all_;  ///< passes over leaves communicate: every rank takes all of its own, empty ones too
  data::SamplerCursor cursor_{};
  std::span<const std::uint32_t> batch_{};
  bool numbered_ = true;                         ///< batch_ says which samples
  data::DistributedSampler* sampler_ = nullptr;  ///< that stands at this step still
  Shard shard_;
  int passed_ = 0;        ///< own leaves done with
  bool started_ = false;  ///< shards() is being iterated
  bool in_shard_ = false;
  bool reduced_ = false;
  bool applied_ = false;
  StepOutcome outcome_ = StepOutcome::ready;
  double norm_ = 0.0;
  double reduction_seconds_ = 0.0;
  bool norm_on_device_ = false;                   ///< norm_ is not known here yet
  std::vector<TensorView> gradients_;             // working memory of apply()
  std::vector<Optimizer::TensorUpdate> updates_;  // the same
};

}  // namespace trireme::parallel
