// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "parallel/all_reduce_synchronizer.hpp"
#include "parallel/device_norm.hpp"
#include "trireme/parallel/data_parallel.hpp"

#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace trireme::parallel {

/// What the handles Step, Shards and Shard point to: the step under way.
class StepState {
 public:
  StepState(GradientSynchronizer& synchronizer, const StepTrace& trace, const std::vector<Parameter>& parameters,
            std::shared_ptr<DeviceNorm> device_norm, int leaves, int first_leaf, int own_leaves)
      : synchronizer_(synchronizer),
        trace_(trace),
        parameters_(parameters),
        device_norm_(std::move(device_norm)),
        leaves_(leaves),
        first_leaf_(first_leaf),
        own_leaves_(own_leaves) {
    shard_.step_ = this;
  }

  /// The step at the cursor of `sampler`; null: a step without samples, `number`.
  void begin(data::DistributedSampler* sampler, std::uint64_t number = 0);
  /// To the next own leaf with samples, accounting for the empty ones; false at the end.
  bool next_shard();
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
  /// On a device it is asked for now.
  double norm();

 private:
  std::span<const TensorView> used_gradients();
  double norm_of_gradients();
  void pass_empty_leaves();
  GradientSynchronizer& synchronizer_;
  const StepTrace& trace_;
  const std::vector<Parameter>& parameters_;
  std::shared_ptr<DeviceNorm> device_norm_;  ///< null: gradients lie on the host
  int leaves_;
  int first_leaf_;
  int own_leaves_;
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
  bool norm_on_device_ = false;                   ///< norm_ is not known here yet
  std::vector<TensorView> gradients_;             // working memory of apply()
  std::vector<Optimizer::TensorUpdate> updates_;  // the same
};

/// What DataParallel owns; at a stable address.
class DataParallelState {
 public:
  DataParallelState(Communicator communicator, std::vector<Parameter> parameters, const DataParallelOptions& options);

  /// Onto another communicator, as if made for it: lists compared, rank 0's values broadcast. Between loops.
  void rebind(Communicator communicator);
  const Communicator& communicator() const { return *communicator_; }

  /// Over the sampler's epoch, or over data that no sampler numbers.
  void begin_loop();
  /// Done with the step; to the next one of the epoch, or false.
  bool next_step();
  Step& step() { return step_; }
  AllReduceSynchronizer& synchronizer() { return *synchronizer_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }
  int leaves() const { return leaves_; }
  /// Null: the next loop has none.
  void set_sampler(data::DistributedSampler* sampler) { sampler_ = sampler; }

 private:
  void place_gradients_in(const Memory& memory);
  void place_gradients_on_device(const Communicator& communicator);
  void connect();
  void begin_step();
  std::optional<Communicator> communicator_;  ///< its own: split from the caller's
  std::vector<Parameter> parameters_;
  DataParallelOptions options_;
  std::vector<bool> row_sparse_;  ///< per parameter
  DeviceMemory
      device_views_;   ///< the gradients on a device, where they are bucket views: for good, whoever the ranks are
  ArenaBuffer views_;  ///< the same on the host
  ArenaBuffer row_gradients_;  ///< of row-sparse parameters that came without
  int leaves_ = 1;
  std::unique_ptr<AllReduceSynchronizer> synchronizer_;
  std::unique_ptr<StepState> step_state_;
  Step step_{nullptr};
  data::DistributedSampler* sampler_ = nullptr;
  std::uint64_t unnumbered_step_ = 0;  ///< of a loop without a sampler
};

}  // namespace trireme::parallel
