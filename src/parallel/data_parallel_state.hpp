// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "parallel/bucketed_synchronizer.hpp"
#include "parallel/sharded_synchronizer.hpp"
#include "parallel/sharded_update.hpp"
#include "parallel/sharded_values.hpp"
#include "parallel/sharded_values_access.hpp"
#include "parallel/step_state.hpp"
#include "parallel/synchronizer_parts.hpp"
#include "parallel/whole_values_access.hpp"
#include "trireme/parallel/data_parallel.hpp"

#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace trireme::parallel {

/// What DataParallel owns; at a stable address.
class DataParallelState {
 public:
  DataParallelState(Communicator communicator, std::vector<Parameter> parameters, const DataParallelOptions& options);

  /// Onto another communicator, as if made for it: lists compared, rank 0's values broadcast. Between loops.
  void rebind(Communicator communicator);
  /// From the next step on.
  void use(std::shared_ptr<SynchronizerFactory> factory) { next_ = std::move(factory); }
  const Communicator& communicator() const { return *communicator_; }

  /// Over the sampler's epoch, or over data that no sampler numbers.
  void begin_loop();
  /// Done with the step; to the next one of the epoch, or false.
  bool next_step();
  Step& step() { return step_; }
  BucketedSynchronizer& synchronizer() { return *synchronizer_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }
  int leaves() const { return leaves_; }
  std::string explain() const { return explanation_.empty() ? synchronizer_->explain() : explanation_; }
  layout::Interval owned(std::size_t parameter) const;
  layout::Interval owned(std::string_view parameter) const;
  layout::Ownership ownership() const;
  std::size_t place_of(std::string_view parameter) const;
  ParameterAccess& access();
  TensorView owned_value(std::size_t parameter);
  void values_written();
  Bytes value_memory() const { return values_ ? values_->memory() : Bytes{}; }
  /// Null: the next loop has none.
  void set_sampler(data::DistributedSampler* sampler) { sampler_ = sampler; }

 private:
  void place_gradients_in(const Memory& memory);
  void place_row_gradients_in(const Memory& memory);
  void place_gradients_on_device(const Communicator& communicator);
  /// `values`: rank 0's are broadcast.
  void connect(bool values);
  void share_out();
  void begin_step();
  std::optional<Communicator> communicator_;  ///< its own: split from the caller's
  std::vector<Parameter> parameters_;
  DataParallelOptions options_;
  std::vector<bool> row_sparse_;   ///< per parameter
  bool values_elsewhere_ = false;  ///< no rank has all of them
  DeviceMemory
      device_views_;   ///< the gradients on a device, where they are bucket views: for good, whoever the ranks are
  ArenaBuffer views_;  ///< the same on the host
  ArenaBuffer row_gradients_;  ///< of row-sparse parameters that came without
  int leaves_ = 1;
  std::unique_ptr<BucketedSynchronizer> synchronizer_;
  ShardedSynchronizer* sharded_ = nullptr;               ///< the same, where there are owners
  std::unique_ptr<ShardedValues> values_;                ///< from stage 1 on
  std::unique_ptr<StepUpdate> update_;                   ///< the same; or where updates happen elsewhere
  std::unique_ptr<ShardedValuesAccess> sharded_access_;  ///< of stage 3
  std::unique_ptr<WholeValuesAccess> access_;            ///< of stage 2; for good
  std::unique_ptr<TensorSums> tensor_sums_;              ///< of a tensor axis
  std::shared_ptr<ParameterAccess> made_access_;         ///< of DataParallelOptions::synchronizer
  std::string explanation_;                              ///< empty: the synchronizer's
  std::unique_ptr<StepState> step_state_;
  Step step_{nullptr};
  data::DistributedSampler* sampler_ = nullptr;
  std::optional<std::shared_ptr<SynchronizerFactory>> next_;  ///< what use() was given, until then
  std::uint64_t unnumbered_step_ = 0;                         ///< of a loop without a sampler
};

}  // namespace trireme::parallel
