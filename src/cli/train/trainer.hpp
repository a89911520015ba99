// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/batch_norm_exchange.hpp"
#include "cli/train/buffer_settling.hpp"
#include "cli/train/job_signals.hpp"
#include "cli/train/loss_meter.hpp"
#include "cli/train/options.hpp"
#include "cli/train/progress.hpp"
#include "cli/train/report.hpp"
#include "cli/train/shard_feed.hpp"
#include "cli/train/throughput.hpp"
#include "trireme/data/labelled_images.hpp"
#include "trireme/models/classifier.hpp"
#include "trireme/parallel/data_parallel.hpp"
#include "trireme/telemetry/scoped_span.hpp"
#include "trireme/world/world.hpp"

#include <memory>
#include <optional>

namespace trireme::cli {

/// Trains a model in a world: the step loop, and what is measured and said beside it. Collective throughout.
class Trainer {
 public:
  /// `world`, `options`, `sets` and `trace` (null: none) must outlive it.
  /// Errors: invalid_argument, unsupported for settings that do not fit the world, alike on all ranks; those of
  ///         DataParallel.
  Trainer(World& world, const TrainOptions& options, const data::TrainAndTest& sets, ProgressMode mode,
          telemetry::SpanRecorder* trace = nullptr);

  /// Trains to the end, or until `signals` ask for a stop or the loss is no finite number; then finds the accuracy of
  /// these weights and checks that all ranks have the same.
  /// Errors: those of the communicator; mismatch naming a rank whose weights differ.
  TrainResult run(const JobSignals& signals);

  Start start() const;
  /// What the gradients are reduced on.
  const Communicator& reductions() const { return data_parallel_.communicator(); }

 private:
  bool train_epoch(const JobSignals& signals);
  StepOutcome train_step(Step& step, const JobSignals& signals);
  ShardFeed::Item next_batch();
  double pass(Shard& shard, const data::Batch& batch, std::size_t leaf);
  void after_step(std::uint64_t epoch);
  void finish_epoch(std::uint64_t epoch, bool complete);
  void end_inside_epoch();
  void evaluate();
  void settle_ends(TrainResult& result);
  void say(const std::string& line);
  bool at_last_step() const { return step_ == total_steps_; }

  World& world_;
  const TrainOptions& options_;
  const data::TrainAndTest& sets_;
  Communicator communicator_;
  std::unique_ptr<models::Classifier> model_;
  DataParallel data_parallel_;
  layout::LeafBlock own_;
  BufferSettling buffers_;
  std::unique_ptr<BatchNormExchange> batch_norm_;  // null: each rank normalises its own leaf
  CallOptions metric_options_;
  std::unique_ptr<Optimizer> optimizer_;
  data::DistributedSampler sampler_;
  data::Normalisation normalisation_;  // of training and test set alike
  ShardFeed feed_;
  data::BatchLoader test_loader_;
  LossMeter epoch_loss_;
  LossMeter recent_loss_;
  Throughput throughput_;
  Progress progress_;
  Progress::Clock::time_point started_{};
  telemetry::SpanRecorder* trace_;
  telemetry::Track steps_track_{};
  Schedule schedule_{};
  double learning_rate_ = 0.0;  ///< at the schedule's factor 1, for this batch
  std::uint64_t total_steps_ = 0;
  std::uint64_t step_ = 0;                     // applied so far
  std::optional<std::uint64_t> evaluated_at_;  // step
  TrainResult result_;
};

}  // namespace trireme::cli
