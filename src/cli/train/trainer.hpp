// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/checkpoints.hpp"
#include "cli/train/evaluator.hpp"
#include "cli/train/host_copy.hpp"
#include "cli/train/job_signals.hpp"
#include "cli/train/loss_meter.hpp"
#include "cli/train/options.hpp"
#include "cli/train/ownership.hpp"
#include "cli/train/progress.hpp"
#include "cli/train/replicas.hpp"
#include "cli/train/report.hpp"
#include "cli/train/selection.hpp"
#include "cli/train/server_session.hpp"
#include "cli/train/tasks/task.hpp"
#include "cli/train/throughput.hpp"
#include "cli/train/training_position.hpp"
#include "cli/train/weights.hpp"
#include "cli/train/whole_values.hpp"
#include "trireme/checkpoint/training_parts.hpp"
#include "trireme/parallel/data_parallel.hpp"
#include "trireme/ps/fallback.hpp"
#include "trireme/telemetry/scoped_span.hpp"
#include "trireme/world/straggling.hpp"
#include "trireme/world/world.hpp"

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

namespace trireme::cli {

/// Trains a model in a world: the step loop, and what is measured and said beside it. Collective throughout.
class Trainer {
 public:
  /// `world`, `replicas`, `options`, `data`, `checkpoints`, `trace` and `servers` (null: none) must outlive it. With checkpoints it
  /// stands where the newest one does. With servers gradients come together there.
  /// Errors: invalid_argument, unsupported for settings that do not fit the world, alike on all ranks; those of
  ///         DataParallel, of the task, of Checkpoints::resume.
  Trainer(World& world, Replicas& replicas, const TrainOptions& options, const TrainingData& data, ProgressMode mode,
          Checkpoints* checkpoints = nullptr, telemetry::SpanRecorder* trace = nullptr,
          ServerSession* servers = nullptr);

  /// Trains to the end, or until `signals` ask for a stop, the loss is no finite number or nothing becomes better; then finds
  /// what the weights that are kept are worth and checks that all ranks have the same.
  /// Errors: those of the communicator; mismatch naming a rank whose weights differ.
  TrainResult run(JobSignals& signals);

  /// Every metric line's numbers, on rank 0, and how much of all steps is done then, 0 to 1.
  void report_to(std::function<void(const Metric&, double done)> listener) { listener_ = std::move(listener); }
  double done() const { return static_cast<double>(step_) / static_cast<double>(std::max(step_, total_steps_)); }

  Start start() const;
  /// What the trained model has to show beside numbers. Not collective.
  std::optional<std::string> sample() { return has_whole_values() ? task_->sample() : sample_; }
  const Task& task() const { return *task_; }
  /// Once it has run: the weights that are the result, in host memory; of values in parts on rank 0, with --model-dir.
  const std::vector<Parameter>& result() const {
    return has_whole_values() ? host_copy_.parameters() : collected_.parameters();
  }
  /// For a fallback, which is told of every step then and may change how gradients come together; it must outlive the run.
  DataParallel& data_parallel() { return data_parallel_; }
  void watch_links(ps::Fallback& fallback) { fallback_ = &fallback; }
  const Optimizer& optimizer() const { return *optimizer_; }
  /// Of independent workers that keep no checkpoints: goes on behind `step`, where worker 0 does, with what the servers hold.
  void go_on_behind(std::uint64_t step) { stand_at(step); }
  /// What the gradients are reduced on.
  const Communicator& reductions() const { return data_parallel_.communicator(); }

 private:
  void set_schedule();
  void resume();
  void stand_at(std::uint64_t step);
  void use_servers();
  void fetch_from_servers();
  bool train_epoch_or_end(JobSignals& signals);
  bool train_epoch(JobSignals& signals);
  StepOutcome train_step(Step& step, JobSignals& signals);
  void request_what_is_due(bool finite, JobSignals& signals);
  void keep_checkpoints();
  bool stops_here();
  void interrupt();
  TrainResult interrupted_result(const JobSignals& signals);
  ApplyOutcome update(Step& step);
  void watch(const Step& step);
  bool others_have_ended(std::uint64_t last);
  void skip_missed_steps(std::uint64_t last);
  PassPlace next_place(const Shard& shard);
  double pass(Shard& shard, const PassPlace& place);
  void after_step(std::uint64_t epoch, bool is_last_of_epoch);
  void show_progress(std::uint64_t epoch);
  void finish_epoch(std::uint64_t epoch, bool complete);
  void end_inside_epoch();
  void validate();
  void keep_final_weights();
  void values_changed();
  bool show_average();
  void hide_average();
  std::string hash_of_weights();
  /// This rank can compute with the model, and hash it, alone.
  bool has_whole_values() const { return !ownership_.of_values() && task_->shares() == nullptr; }
  const std::vector<Parameter>& whole_parameters() const;
  VisitValues visit_whole();
  double norm_of_model(std::span<const TensorView> gradients);
  void leave_collectively();
  void warn_of_skipped_steps();
  void note_selection() const;
  void tell(const Metric& metric);
  /// A checkpoint may be beyond what is asked for now.
  bool at_last_step() const { return step_ >= total_steps_; }
  bool is_over() const { return at_last_step() || result_.diverged_at || result_.stopped_early_at; }
  /// Whether a multiple of `every` has been reached since the step before, by steps that others made, too.
  bool has_reached(std::uint64_t every) const { return step_ / every != last_step_ / every; }
  bool validates_at_step() const {
    const ValidationOptions& when = options_.validation;
    return when.every_is_steps && has_reached(when.every);
  }

  World& world_;
  Replicas& replicas_;
  ServerSession* servers_;
  ps::Fallback* fallback_ = nullptr;
  bool is_first_;  ///< of all workers: who speaks
  std::uint32_t worker_;
  testing::Straggling straggling_;
  const TrainOptions& options_;
  Communicator communicator_;         ///< of those that share out a batch
  device::OwnedStream stream_;        ///< where a device computes
  std::optional<TaskDevice> device_;  ///< unset: the host does
  std::unique_ptr<Task> task_;
  Weights weights_;
  DataParallel data_parallel_;
  Ownership ownership_;
  HostCopy host_copy_;
  layout::LeafBlock own_;
  CallOptions metric_options_;
  std::unique_ptr<Optimizer> optimizer_;
  data::DistributedSampler sampler_;
  Selection selection_;
  LossMeter epoch_loss_;
  LossMeter recent_loss_;
  Throughput throughput_;
  Progress progress_;
  std::function<void(const Metric&, double)> listener_;
  Progress::Clock::time_point started_{};
  Checkpoints* checkpoints_;
  telemetry::SpanRecorder* trace_;
  telemetry::Track steps_track_{};
  Schedule schedule_{};
  double learning_rate_ = 0.0;  ///< at the schedule's factor 1, for this batch
  std::uint64_t total_steps_ = 0;
  std::uint64_t step_ = 0;       // done, those that were skipped too
  std::uint64_t last_step_ = 0;  // the same, when the step behind began
  std::uint64_t missed_ = 0;     // made by others, and not yet skipped here
  std::uint64_t applied_ = 0;    // of them
  int next_leaf_ = 0;            // own leaf to look at, of the step under way
  Score validation_{};
  std::optional<std::uint64_t> validated_at_;  // step
  bool checkpoint_asked_for_ = false;          // in the step behind, by some rank
  TrainResult result_;
  CollectedValues collected_;          // where no rank has whole values
  std::optional<std::string> sample_;  // likewise: made together

  // What a checkpoint holds of the above.
  Ownership::State weights_state_;
  checkpoint::ParameterState buffers_state_;
  Ownership::State optimizer_state_;
  std::optional<checkpoint::LossScalerState> scaler_state_;
  Ownership::State average_state_;
  TrainingPosition position_;
  Ownership::State selection_state_;
};

}  // namespace trireme::cli
