// SPDX-License-Identifier: Apache-2.0
#include "cli/train/trainer.hpp"

#include "cli/train/device.hpp"
#include "cli/train/end_agreement.hpp"
#include "cli/train/fallback.hpp"
#include "cli/train/refusal_of_all.hpp"
#include "cli/train/setup.hpp"
#include "cli/train/shard_listener.hpp"
#include "trireme/base/error.hpp"
#include "trireme/models/weights_hash.hpp"

#include <cmath>
#include <csignal>
#include <limits>
#include <utility>

namespace trireme::cli {
namespace {

double seconds_between(Progress::Clock::time_point from, Progress::Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

layout::LeafBlock own_block(const DataParallel& data_parallel, const Communicator& communicator) {
  return layout::leaf_blocks(data_parallel.logical_shards(),
                             communicator.size())[static_cast<std::size_t>(communicator.rank())];
}

std::optional<LogicalPieces> pieces_of(World& world, Task& task) {
  if (task.shares() == nullptr) return std::nullopt;
  return LogicalPieces(world.communicator(), *task.shares());
}

/// The folder is what the user typed; it may be missing on one host alone.
void offload(World& world, Optimizer& optimizer, const std::string& folder) {
  std::string problem;
  try {
    optimizer.offload({.folder = folder});
  } catch (const Exception& refusal) {
    problem = refusal.error().message;
  }
  refuse_on_all(world, "--offload", problem);
}

}  // namespace

Trainer::Trainer(World& world, Replicas& replicas, const TrainOptions& options, const TrainingData& data,
                 ProgressMode mode, Checkpoints* checkpoints, telemetry::SpanRecorder* trace, ServerSession* servers)
    : world_(world),
      replicas_(replicas),
      servers_(servers),
      is_first_(world.rank() == 0 && (servers == nullptr || servers->place().is_first())),
      worker_(servers != nullptr ? servers->place().worker : static_cast<std::uint32_t>(world.rank())),
      straggling_(straggling_among(options.straggling, servers != nullptr ? servers->place().workers
                                                                          : static_cast<std::uint32_t>(world.size()))),
      options_(options),
      communicator_(replicas.across()),
      stream_(world.device() ? device::OwnedStream(world.device_runtime(), world.device()->index)
                             : device::OwnedStream()),
      device_(world.device() ? std::optional(TaskDevice{world.device_runtime(), stream_.get()}) : std::nullopt),
      task_(data.make_task(task_place(world, communicator_, options, data, device_, replicas.mesh()))),
      weights_(task_->parameters(), task_->buffers(), options.precision, options.average, device_),
      data_parallel_(communicator_, weights_.parameters(),
                     parallel_options(options, *task_, weights_, stream_.get(), trace, replicas.mesh())),
      ownership_(data_parallel_, options.zero, options.shard_group, pieces_of(world, *task_)),
      host_copy_(ownership_.values(), device_),
      own_(own_block(data_parallel_, communicator_)),
      metric_options_{.order = options.order, .leaves = data_parallel_.logical_shards()},
      optimizer_(make_optimizer(options.optimizer, *task_)),
      sampler_(sampler_options(options, task_->samples(), communicator_.size(), servers)),
      selection_(options.validation),
      epoch_loss_(static_cast<std::size_t>(own_.count)),
      recent_loss_(static_cast<std::size_t>(own_.count)),
      progress_(mode, stderr),
      checkpoints_(checkpoints),
      trace_(trace),
      weights_state_(ownership_.values_state()),
      buffers_state_({task_->buffers().begin(), task_->buffers().end()}),
      optimizer_state_(ownership_.optimizer_state(*optimizer_)),
      position_({.step = step_,
                 .applied = applied_,
                 .total_steps = total_steps_,
                 .result = result_,
                 .sampler = sampler_,
                 .epoch_loss = epoch_loss_,
                 .recent_loss = recent_loss_,
                 .leaves = data_parallel_.logical_shards(),
                 .own = own_,
                 .saves = replicas.speaks()}),
      selection_state_(ownership_.selection_state(selection_)) {
  check_validation(options.validation, *task_);
  if (device_) optimizer_->use_device(device_->runtime, device_->stream);
  if (options.offload) offload(world_, *optimizer_, *options.offload);
  if (!weights_.is_narrow() && options.zero >= 2) task_->use_access(data_parallel_.access());
  if (!weights_.is_narrow() && options.zero < 2) task_->use_gradients(data_parallel_.parameters());
  if (ownership_.of_values()) weights_.average_parts(ownership_.values(), ownership_.firsts());
  result_.train_loss = std::numeric_limits<double>::quiet_NaN();
  set_schedule();
  note_selection();
  if (checkpoints_ != nullptr) resume();
  if (servers_ != nullptr) use_servers();
  task_->feed(sampler_, data_parallel_.logical_shards(), own_);
  if (trace_ != nullptr) steps_track_ = trace_->track(parallel::steps_track);
  result_.model = options.model;
  result_.world = servers != nullptr ? static_cast<int>(servers->place().workers) : world.size();
  if (servers != nullptr) result_.sync = servers->consistency();
  result_.logical_shards = data_parallel_.logical_shards();
}

void Trainer::resume() {
  if (device_) checkpoints_->use_devices({device_->runtime, device_->stream});
  checkpoints_->add("model", *weights_state_);
  checkpoints_->add("buffers", buffers_state_);
  checkpoints_->add("optimizer", *optimizer_state_);
  if (LossScaler* scaler = weights_.loss_scaler()) checkpoints_->add("loss_scaler", scaler_state_.emplace(*scaler));
  if (WeightAverage* average = weights_.average()) {
    average_state_ = ownership_.average_state(*average);
    checkpoints_->add("average", *average_state_);
  }
  checkpoints_->add("position", position_);
  checkpoints_->add("selection", *selection_state_);
  result_.resumed_from = checkpoints_->resume(data_parallel_.logical_shards());
  if (!result_.resumed_from) return;
  last_step_ = step_;
  values_changed();
  if (!selection_.is_exhausted()) result_.stopped_early_at.reset();  // with more patience than before
  if (is_over() && is_first_) {
    std::fprintf(stderr, "trireme train: training was complete at step %llu: nothing is left to do%s\n",
                 static_cast<unsigned long long>(step_),
                 step_ > total_steps_ ? ", and more was done than is asked for now" : "");
  }
}

/// From the first step on, with the values there are now.
void Trainer::use_servers() {
  if (options_.sync.splits_optimally) {
    std::uint64_t bytes = 0;
    for (const Parameter& parameter : data_parallel_.parameters())
      bytes += parameter.value.count * size_of(accumulator_of(parameter.gradient.dtype));
    servers_->split(communicator_, Bytes{bytes});
  }
  data_parallel_.use(servers_->connect(data_parallel_.parameters(), task_->row_sparse(), *optimizer_));
}

/// What a checkpoint keeps of values and state.
void Trainer::fetch_from_servers() {
  if (servers_ == nullptr || !servers_->holds_state()) return;
  servers_->fetch(data_parallel_.parameters(), *optimizer_);
  weights_.settle();
}

void Trainer::stand_at(std::uint64_t step) {
  data::SamplerState state = sampler_.state();
  state.cursor = {step / sampler_.steps_per_epoch(), step % sampler_.steps_per_epoch()};
  sampler_.restore(state);
  step_ = last_step_ = applied_ = step;
  result_.resumed_from = step;
}

/// Who chooses by what the result is then told of gets too good a figure; and of a small table nothing is held out that was not asked for.
void Trainer::note_selection() const {
  const ValidationOptions& validation = options_.validation;
  const DataOptions& data = options_.data;
  if (!is_first_) return;
  const bool is_table = data.dataset.kind == DatasetKind::csv || data.dataset.kind == DatasetKind::libsvm ||
                        data.dataset.kind == DatasetKind::synthetic;
  if (is_table && !data.held_out && !data.test && task_->size(Part::validation) == 0) {
    std::fprintf(stderr,
                 "trireme train: warning: %zu rows are too few to hold a tenth of them out: nothing is evaluated; give "
                 "--held-out 0.5 or --test-dataset\n",
                 sampler_.options().count);
  }
  if (!task_->parts_are_one() || (!validation.keep_best && validation.patience == 0)) return;
  const bool is_test_set = data.dataset.kind == DatasetKind::images || data.test;
  std::fprintf(stderr,
               "trireme train: warning: %s chooses by the samples that the result's test_loss is of, which is then too "
               "good: give %s to tell them apart\n",
               validation.keep_best ? "--keep-best" : "--early-stop",
               is_test_set ? "--held-out 0.1" : "--test-dataset");
}

void Trainer::set_schedule() {
  const std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  const std::uint64_t all =
      options_.epochs > most / sampler_.steps_per_epoch() ? most : options_.epochs * sampler_.steps_per_epoch();
  total_steps_ = options_.steps == 0 ? all : std::min(all, options_.steps);
  schedule_ = options_.schedule;
  schedule_.total_steps = total_steps_;
  if (options_.warmup_if_long != 0) schedule_.warmup_steps = std::min(options_.warmup_if_long, total_steps_ / 2);
  try {
    schedule_.check();
  } catch (const Exception& refusal) {
    fail(refusal.error().code, "--lr-schedule, --warmup-steps: " + refusal.error().message);
  }
  if (options_.average && options_.average->from_step > total_steps_) {
    fail(ErrorCode::invalid_argument, "--swa-from " + std::to_string(options_.average->from_step) +
                                          " is beyond the last step, " + std::to_string(total_steps_));
  }
  if (is_first_ && schedule_.warmup_steps > total_steps_) {
    std::fprintf(
        stderr,
        "trireme train: warning: --warmup-steps %llu is beyond the last step, %llu: the learning rate does not "
        "reach its full value\n",
        static_cast<unsigned long long>(schedule_.warmup_steps), static_cast<unsigned long long>(total_steps_));
  }
  const std::size_t shares = servers_ != nullptr && servers_->is_independent() ? servers_->place().workers : 1;
  // As many updates of an Nth of the batch as there are workers move values as far as one of the whole.
  const std::size_t updates = servers_ == nullptr || servers_->is_bulk_synchronous() ? 1 : shares;
  learning_rate_ = scaled_learning_rate(options_.optimizer.learning_rate, options_.lr_scaling,
                                        sampler_.options().global_batch * shares, options_.lr_base_batch) /
                   static_cast<double>(updates);
}

TrainResult Trainer::run(JobSignals& signals) {
  started_ = Progress::Clock::now();
  bool stopped = false;
  if (servers_ != nullptr && is_over()) servers_->begin_without_steps(data_parallel_.parameters(), *optimizer_);
  while (!stopped && !is_over()) stopped = !train_epoch_or_end(signals);
  if (result_.is_interrupted) return interrupted_result(signals);
  if (servers_ != nullptr && servers_->is_independent()) {
    servers_->finish(data_parallel_.parameters(), signals);
    weights_.settle();
  }
  if (checkpoints_ != nullptr && !result_.diverged_at) fetch_from_servers();
  if (checkpoints_ != nullptr) {
    result_.is_unsaved = result_.diverged_at ? !checkpoints_->finish() : !checkpoints_->save_last(step_);
  }
  const bool has_result = !result_.diverged_at || (options_.validation.keep_best && selection_.best_step() != 0);
  if (has_result) keep_final_weights();
  progress_.clear();
  result_.steps = step_;
  result_.samples_per_s = throughput_.samples_per_s();
  result_.seconds = seconds_between(started_, Progress::Clock::now());
  result_.stop_signal = stopped ? signals.stop_signal() : 0;
  if (const LossScaler* scaler = weights_.loss_scaler()) result_.skipped_steps = scaler->state().skipped;
  if (has_result) {
    result_.weights_xxh3 = hash_of_weights();
    agree_on_ends(world_, task_->buffers(), result_);
    if (!has_whole_values()) leave_collectively();
  }
  warn_of_skipped_steps();
  return result_;
}

/// What rank 0 leaves behind of values that no rank has whole.
void Trainer::leave_collectively() {
  if (options_.model_dir) collected_.collect(visit_whole(), whole_parameters(), world_.rank() == 0);
  sample_ = task_->sample();
}

const std::vector<Parameter>& Trainer::whole_parameters() const {
  return task_->shares() != nullptr ? task_->shares()->whole() : data_parallel_.parameters();
}

/// Collective.
VisitValues Trainer::visit_whole() {
  if (ModelShares* shares = task_->shares()) return [shares](const UseValue& use) { shares->visit(use); };
  return [this](const UseValue& use) {
    visit_whole_values(data_parallel_.access(), data_parallel_.parameters().size(), use);
  };
}

/// Values were written by others than the optimizer: whoever uses them follows.
void Trainer::values_changed() {
  if (ownership_.of_values()) data_parallel_.values_written();
  weights_.settle();
}

bool Trainer::show_average() {
  const bool averaged = weights_.show_average();
  if (averaged) values_changed();
  return averaged;
}

void Trainer::hide_average() {
  weights_.hide_average();
  values_changed();
}

std::string Trainer::hash_of_weights() {
  if (!has_whole_values()) return whole_values_hash(visit_whole());
  return models::weights_hash(host_copy_.fetch());
}

/// Weights that training goes on from are worth no evaluation.
TrainResult Trainer::interrupted_result(const JobSignals& signals) {
  result_.steps = step_;
  result_.samples_per_s = throughput_.samples_per_s();
  result_.seconds = seconds_between(started_, Progress::Clock::now());
  result_.stop_signal = signals.stop_signal();
  result_.test.loss = std::numeric_limits<double>::quiet_NaN();
  if (epoch_loss_.samples() != 0) result_.train_loss = epoch_loss_.take(communicator_, metric_options_);
  if (const LossScaler* scaler = weights_.loss_scaler()) result_.skipped_steps = scaler->state().skipped;
  result_.weights_xxh3 = hash_of_weights();
  agree_on_ends(world_, task_->buffers(), result_);
  return result_;
}

void Trainer::warn_of_skipped_steps() {
  if (!is_first_ || weights_.loss_scaler() == nullptr || step_ == 0 || applied_ != 0) return;
  std::fprintf(
      stderr,
      "trireme train: nothing was learnt: the gradients of all %llu steps overflowed f16, and the loss scale has "
      "come down to %g: train longer, or use --precision bf16\n",
      static_cast<unsigned long long>(step_), weights_.loss_scaler()->scale());
}

/// A worker that waits for no other may find the others gone, wherever it waits for servers: they have stopped, as it shall.
bool Trainer::train_epoch_or_end(JobSignals& signals) {
  try {
    return train_epoch(signals);
  } catch (const Exception& failure) {
    if (servers_ == nullptr || !servers_->ends_the_job(failure.error())) throw;
    signals.request_stop(SIGTERM);
    end_inside_epoch();
    return false;
  }
}

/// False when a stop was asked for, or a loss is not finite any more.
bool Trainer::train_epoch(JobSignals& signals) {
  const std::uint64_t epoch = sampler_.cursor().epoch + 1;
  const std::uint64_t last = epoch * sampler_.steps_per_epoch();
  if (missed_ != 0) skip_missed_steps(last);
  if (step_ == last || at_last_step()) {
    finish_epoch(epoch, step_ == last);
    return true;
  }
  for (Step& step : data_parallel_.steps(sampler_)) {
    if (others_have_ended(last)) break;  // before a worker that came late had its first step
    if (train_step(step, signals) == StepOutcome::stop) {
      end_inside_epoch();
      return false;
    }
    after_step(epoch, step_ == last);
    if (is_over()) break;
    if (step_ == last) continue;  // the loop ends
    keep_checkpoints();
    if (stops_here()) return false;
  }
  finish_epoch(epoch, step_ == last);
  if (result_.diverged_at) return false;
  if (is_over()) return true;
  keep_checkpoints();
  return !stops_here();
}

/// Of the step behind, whose metrics are told: the state is that of a step's end.
void Trainer::keep_checkpoints() {
  if (checkpoints_ == nullptr) return;
  if (last_step_ == result_.resumed_from.value_or(0)) {
    fetch_from_servers();  // the optimizer's state takes its form
    // Of shares the state is not there until all ranks ask for it.
    if (task_->shares() == nullptr) checkpoints_->prepare();
  }
  const telemetry::ScopedSpan span(trace_, steps_track_, "checkpoint");
  if (checkpoints_->is_due(last_step_, step_, std::exchange(checkpoint_asked_for_, false))) {
    fetch_from_servers();
    checkpoints_->save(step_);
  } else {
    checkpoints_->advance();
  }
}

/// Whether this start has done what it was to do.
bool Trainer::stops_here() {
  if (checkpoints_ == nullptr || !checkpoints_->must_stop(step_)) return false;
  interrupt();
  return true;
}

/// Ends before training is complete, to be started again.
void Trainer::interrupt() {
  progress_.clear();
  result_.is_interrupted = true;
  if (servers_ != nullptr) servers_->stop_others();
  fetch_from_servers();
  result_.is_unsaved = !checkpoints_->save_last(step_);
}

/// Some rank asked for the end in the step under way, of its own because of a signal or of what it computed: only all
/// losses together tell every rank which.
void Trainer::end_inside_epoch() {
  if (!std::isfinite(epoch_loss_.sum_under_way(communicator_, metric_options_))) result_.diverged_at = step_ + 1;
  if (checkpoints_ != nullptr && !result_.diverged_at) interrupt();
  if (epoch_loss_.samples() != 0) result_.train_loss = epoch_loss_.take(communicator_, metric_options_);
}

/// Rank 0's clock and every rank's signals and losses, which all ranks hear of in this step's reduction.
void Trainer::request_what_is_due(bool finite, JobSignals& signals) {
  const bool is_late = checkpoints_ != nullptr && checkpoints_->asks_for_stop();
  const bool follows = servers_ != nullptr && servers_->stops_behind_the_first();
  const bool must_stop = servers_ != nullptr && servers_->must_stop();
  if (must_stop) signals.request_stop(SIGTERM);
  const bool is_told = follows ? must_stop : signals.stop_signal() != 0;
  const bool wants_checkpoint = checkpoints_ != nullptr && checkpoints_->asks_for_one(signals);
  const Replicas::Wishes wishes =
      replicas_.together({.stop = !finite || is_told || is_late, .checkpoint = wants_checkpoint});
  if (wishes.stop) data_parallel_.request_stop();
  if (wishes.checkpoint) data_parallel_.request_checkpoint();
}

StepOutcome Trainer::train_step(Step& step, JobSignals& signals) {
  const telemetry::ScopedSpan span(trace_, steps_track_, "step", {"step", static_cast<std::int64_t>(step_ + 1)});
  const auto begin = Progress::Clock::now();
  straggling_.compute(worker_, step_ + 1);
  task_->begin_step();
  next_leaf_ = 0;
  bool finite = true;
  for (Shard& shard : step.shards()) {
    const PassPlace place = next_place(shard);
    const std::size_t samples = shard.samples().size();
    const double loss = pass(shard, place);
    finite &= std::isfinite(loss);
    if (samples == 0) continue;  // a pass for the sake of other ranks
    epoch_loss_.add(place.leaf, loss, samples);
    recent_loss_.add(place.leaf, loss, samples);
    progress_.note(loss * static_cast<double>(samples), samples);
  }
  request_what_is_due(finite, signals);
  if (const StepOutcome outcome = step.reduce(); outcome != StepOutcome::ready) return outcome;
  checkpoint_asked_for_ = checkpoint_asked_for_ || step.checkpoint_requested();
  const ApplyOutcome outcome = update(step);
  last_step_ = step_++;
  if (outcome == ApplyOutcome::applied) {
    ++applied_;
    task_->end_step(communicator_, metric_options_);
    weights_.updated(step_);
  }
  if (fallback_ != nullptr) watch(step);
  epoch_loss_.count(step.batch_size());
  recent_loss_.count(step.batch_size());
  throughput_.add(step.batch_size(), seconds_between(begin, Progress::Clock::now()));
  const std::uint64_t epoch = sampler_.steps_per_epoch();
  skip_missed_steps((step_ + epoch - 1) / epoch * epoch);
  return StepOutcome::ready;
}

bool Trainer::others_have_ended(std::uint64_t last) {
  if (servers_ == nullptr) return false;
  missed_ += servers_->take_skipped();
  if (missed_ == 0 || step_ + missed_ < total_steps_) return false;
  skip_missed_steps(last);
  return true;
}

/// A backup worker that was late goes on with the step the others are at; but an epoch ends at `last` as elsewhere, and what is missed beyond is
/// skipped when the next one begins.
void Trainer::skip_missed_steps(std::uint64_t last) {
  if (servers_ == nullptr) return;
  missed_ += servers_->take_skipped();
  const std::uint64_t skipped = std::min(missed_, std::min(last, total_steps_) - step_);
  if (skipped == 0) return;
  missed_ -= skipped;
  step_ += skipped;
  for (std::uint64_t i = 0; i < skipped; ++i) sampler_.advance();
  task_->feed(sampler_, data_parallel_.logical_shards(), own_);  // it has looked ahead
}

void Trainer::watch(const Step& step) {
  const auto reason = fallback_->after(step);
  if (!reason || !is_first_) return;
  progress_.clear();
  std::fprintf(stderr, "%s\n", fallback_line(fallback_->way(), step_, *reason).c_str());
}

/// Gradients that f16 cannot hold although they are not multiplied any more will not become smaller by waiting.
ApplyOutcome Trainer::update(Step& step) {
  LossScaler* const scaler = weights_.loss_scaler();
  const bool is_unscaled = scaler != nullptr && scaler->scale() <= 1.0;
  optimizer_->set_learning_rate(learning_rate_ * schedule_.factor(step_ + 1));
  ApplyOptions how{.clip_norm = options_.clip_norm, .clip_value = options_.clip_value, .loss_scaler = scaler};
  if (task_->shares() != nullptr) how.norm = [this](auto gradients) { return norm_of_model(gradients); };
  const ApplyOutcome outcome = step.apply(*optimizer_, how);
  if (is_unscaled && outcome == ApplyOutcome::nonfinite) {
    result_.diverged_at = step_ + 1;
    result_.overflowed = true;
  }
  return outcome;
}

/// Of its gradient, of which this rank has a part.
double Trainer::norm_of_model(std::span<const TensorView> gradients) {
  ModelShares::Parts parts;
  if (ownership_.of_state())
    parts = {.owned = [this](std::size_t p) { return data_parallel_.owned(p); }, .replicas = communicator_};
  return task_->shares()->norm(gradients, parts);
}

/// Of the next own leaf that has samples: `shard` is over it. At stage 3 leaves without samples are passed, too.
PassPlace Trainer::next_place(const Shard& shard) {
  if (shard.samples().empty()) return {.step = step_, .leaf = static_cast<std::size_t>(next_leaf_++)};
  const auto batch = sampler_.batch();
  const auto samples = [&](int leaf) {
    return data::DistributedSampler::leaf(batch, data_parallel_.logical_shards(), own_.first + leaf);
  };
  while (samples(next_leaf_).empty()) ++next_leaf_;
  return {.step = step_,
          .leaf = static_cast<std::size_t>(next_leaf_++),
          .first_row = static_cast<std::size_t>(shard.samples().data() - batch.data())};
}

/// Forward and backward of one leaf; its mean loss.
double Trainer::pass(Shard& shard, const PassPlace& place) {
  {
    const telemetry::ScopedSpan span(trace_, steps_track_, "batch");
    task_->load(shard.samples());
  }
  ShardListener listener(shard, weights_, trace_ != nullptr);
  const double loss = task_->pass(place, listener);
  if (trace_ != nullptr) {
    const telemetry::Detail detail{"leaf", own_.first + static_cast<std::int64_t>(place.leaf)};
    if (task_->shares() != nullptr) {  // micro-batches do either in turn
      trace_->span(steps_track_, "forward and backward", listener.began(), listener.now(), detail);
    } else {
      trace_->span(steps_track_, "forward", listener.began(), listener.forward_ended(), detail);
      trace_->span(steps_track_, "backward", listener.forward_ended(), listener.now(), detail);
    }
  }
  return loss;
}

void Trainer::after_step(std::uint64_t epoch, bool is_last_of_epoch) {
  if (options_.log_every != 0 && has_reached(options_.log_every)) {
    const telemetry::ScopedSpan span(trace_, steps_track_, "metrics");
    tell({.step = step_,
          .epoch = epoch,
          .step_loss = recent_loss_.take(communicator_, metric_options_),
          .samples_per_s = throughput_.samples_per_s()});
  }
  // At the end of an epoch, or of all, it is looked at together with the loss of the epoch.
  if (validates_at_step() && !is_last_of_epoch && !at_last_step()) {
    validate();
    if (validated_at_ == step_) {
      tell({.step = step_, .epoch = epoch, .validation = validation_, .samples_per_s = throughput_.samples_per_s()});
    }
  }
  show_progress(epoch);
}

void Trainer::show_progress(std::uint64_t epoch) {
  const auto now = Progress::Clock::now();
  if (!progress_.due(now)) return;
  const auto done = static_cast<double>(step_ - result_.resumed_from.value_or(0));
  const double per_step = seconds_between(started_, now) / done;
  progress_.show({.epoch = epoch,
                  .epochs = (total_steps_ + sampler_.steps_per_epoch() - 1) / sampler_.steps_per_epoch(),
                  .step = step_,
                  .steps = total_steps_,
                  .samples_per_s = throughput_.samples_per_s(),
                  .seconds_left = per_step * static_cast<double>(total_steps_ - step_)},
                 now);
}

void Trainer::finish_epoch(std::uint64_t epoch, bool complete) {
  Metric metric{.step = step_, .epoch = epoch, .samples_per_s = throughput_.take_recent()};
  {
    const telemetry::ScopedSpan span(trace_, steps_track_, "metrics");
    // Without a sample when all its steps were made without this worker.
    if (epoch_loss_.samples() != 0)
      metric.train_loss = result_.train_loss = epoch_loss_.take(communicator_, metric_options_);
  }
  if (complete) result_.epochs = epoch;
  const ValidationOptions& when = options_.validation;
  const bool due = complete && when.every != 0 && !when.every_is_steps && epoch % when.every == 0;
  if (validated_at_ != step_ && !result_.diverged_at && (due || validates_at_step() || at_last_step())) {
    validate();
    if (validated_at_ == step_) metric.validation = validation_;
  }
  tell(metric);
  if (result_.stopped_early_at && is_first_) {
    progress_.clear();
    std::fprintf(stderr, "%s\n", early_stop_line(step_, selection_.best_step(), when.patience).c_str());
  }
}

/// A loss that is not finite there shows weights that the training loss would have shown one step later.
void Trainer::validate() {
  if (task_->size(Part::validation) == 0) return;
  if (checkpoints_ != nullptr) checkpoints_->advance();  // what is written is completed before a long look
  const telemetry::ScopedSpan span(trace_, steps_track_, "evaluation");
  const bool averaged = show_average();
  validation_ = evaluate(*task_, Part::validation, communicator_, metric_options_);
  validated_at_ = step_;
  if (std::isfinite(validation_.loss)) {
    selection_.note(step_, validation_, selection_.copies() ? host_copy_.fetch() : host_copy_.parameters(),
                    task_->buffers());
    if (selection_.is_exhausted() && !at_last_step()) result_.stopped_early_at = step_;
  } else {
    result_.diverged_at = step_;
  }
  if (averaged) hide_average();
}

/// The weights that are the result, and what they are worth.
void Trainer::keep_final_weights() {
  const bool keep_best = options_.validation.keep_best && selection_.best_step() != 0;
  if (keep_best) {
    selection_.restore(host_copy_.parameters(), task_->buffers());
    host_copy_.put();
    values_changed();
    result_.best_step = selection_.best_step();
  } else {
    const bool averaged = show_average();  // for good
    if (options_.average && !averaged && is_first_) {
      std::fprintf(stderr, "trireme train: training ended before --swa-from: the weights are no average\n");
    }
  }
  if (!is_first_ && servers_ != nullptr && servers_->is_independent())
    return;  // worker 0's, of the values all have left
  if (task_->parts_are_one() && keep_best) {
    result_.test = selection_.best();
  } else if (task_->parts_are_one() && validated_at_ == step_ && (servers_ == nullptr || !servers_->is_independent())) {
    result_.test = validation_;
  } else {
    const telemetry::ScopedSpan span(trace_, steps_track_, "evaluation");
    result_.test = evaluate(*task_, Part::test, communicator_, metric_options_);
    if (task_->size(Part::test) != 0 && !std::isfinite(result_.test.loss)) result_.diverged_at = step_;
  }
}

void Trainer::tell(const Metric& metric) {
  if (!is_first_) return;
  progress_.clear();
  std::printf("%s\n", metric_line(metric).c_str());
  std::fflush(stdout);
  if (listener_) listener_(metric, done());
}

Start Trainer::start() const {
  Start start{.model = task_->model(),
              .dataset = task_->dataset(),
              .samples = task_->samples(),
              .batch = sampler_.options().global_batch,
              .world = result_.world,
              .transport = servers_ != nullptr ? "parameter servers (" + result_.sync + ")"
                           : world_.size() > 1 ? world_.transport((world_.rank() + 1) % world_.size())
                                               : "",
              .mesh = replicas_.mesh() != nullptr ? to_text(*replicas_.mesh()) : "",
              .logical_shards = result_.world > world_.size() ? result_.world : data_parallel_.logical_shards(),
              .device = describe_device(world_)};
  for (const Parameter& parameter : whole_parameters()) start.parameters += parameter.value.count;
  return start;
}

}  // namespace trireme::cli
