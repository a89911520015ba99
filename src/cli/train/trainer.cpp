// SPDX-License-Identifier: Apache-2.0
#include "cli/train/trainer.hpp"

#include "cli/train/model.hpp"
#include "cli/train/normalisation.hpp"
#include "trireme/base/error.hpp"
#include "trireme/data/evaluation_share.hpp"
#include "trireme/models/blas.hpp"
#include "trireme/models/weights_hash.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <span>

namespace trireme::cli {
namespace {

constexpr Bytes first_bucket{std::uint64_t{1} << 20};

double seconds_between(Progress::Clock::time_point from, Progress::Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

int leaves_of(const TrainOptions& options, int ranks) {
  if (options.accumulate != 0) {
    const int leaves = options.accumulate * ranks;
    if (options.logical_shards != 0 && options.logical_shards != leaves) {
      fail(ErrorCode::invalid_argument, "--logical-shards " + std::to_string(options.logical_shards) +
                                            " and --accumulate " + std::to_string(options.accumulate) + " on " +
                                            std::to_string(ranks) + " ranks, which make " + std::to_string(leaves) +
                                            ", do not agree: give one of the two");
    }
    return leaves;
  }
  if (options.logical_shards == 0) return ranks;
  if (options.logical_shards < ranks) {
    fail(ErrorCode::invalid_argument, "--logical-shards " + std::to_string(options.logical_shards) + " is below the " +
                                          std::to_string(ranks) +
                                          " ranks of this world: raise it, or start fewer ranks");
  }
  return options.logical_shards;
}

/// What the world can say against these settings before anything moves: an algorithm asked for that is not canonical.
const TrainOptions& checked(const TrainOptions& options, const Communicator& communicator) {
  const CallOptions call{.order = options.order, .leaves = leaves_of(options, communicator.size())};
  check_sync_batch_norm(options, call.leaves, communicator.size());
  try {
    static_cast<void>(communicator.explain(1, DType::f32, call));
  } catch (const Exception& refusal) {  // of an algorithm that was asked for, which train has no flag for
    fail(refusal.error().code, "TRIREME_ALGORITHM: " + refusal.error().message);
  }
  return options;
}

/// Samples of a pass, but for those that a leaf has more than another.
std::size_t rows_of_pass(const TrainOptions& options, const data::LabelledImages& images, int ranks) {
  const auto leaves = static_cast<std::size_t>(leaves_of(options, ranks));
  return std::min(options.global_batch(ranks), images.size()) / leaves + 1;
}

DataParallelOptions parallel_options(const TrainOptions& options, telemetry::SpanRecorder* trace) {
  return {.bucket_bytes = options.bucket_bytes,
          .first_bucket_bytes = std::min(first_bucket, options.bucket_bytes),
          .logical_shards = options.logical_shards,
          .accumulate = options.accumulate,
          .overlap = options.overlap,
          .order = options.order,
          .gradients_as_bucket_views = true,
          .trace = trace};
}

data::BatchLoaderOptions loader_options(const World& world, const data::Normalisation& normalisation) {
  return {.busy_threads = static_cast<unsigned>(world.local_size()), .normalisation = normalisation};
}

layout::LeafBlock own_block(const DataParallel& data_parallel, const World& world) {
  return layout::leaf_blocks(data_parallel.logical_shards(), world.size())[static_cast<std::size_t>(world.rank())];
}

std::int64_t bits_of(const std::string& hash) {
  std::uint64_t value = 0;
  std::from_chars(hash.data(), hash.data() + hash.size(), value, 16);
  return static_cast<std::int64_t>(value);
}

}  // namespace

Trainer::Trainer(World& world, const TrainOptions& options, const data::TrainAndTest& sets, ProgressMode mode,
                 telemetry::SpanRecorder* trace)
    : world_(world),
      options_(checked(options, world.communicator())),
      sets_(sets),
      communicator_(world.communicator()),
      model_(make_model(options, sets.train, rows_of_pass(options, sets.train, world.size()))),
      data_parallel_(communicator_, model_->parameters(), parallel_options(options, trace)),
      own_(own_block(data_parallel_, world)),
      buffers_(*model_, own_.count),
      metric_options_{.order = options.order, .leaves = data_parallel_.logical_shards()},
      optimizer_(optimizer_named(options.optimizer.name).make(options.optimizer)),
      sampler_({.count = sets.train.size(), .global_batch = options.global_batch(world.size()), .seed = options.seed}),
      normalisation_(normalisation_of(sets.train)),
      feed_(sets.train, sampler_, data_parallel_.logical_shards(), own_, loader_options(world, normalisation_)),
      test_loader_(sets.test, loader_options(world, normalisation_)),
      epoch_loss_(static_cast<std::size_t>(own_.count)),
      recent_loss_(static_cast<std::size_t>(own_.count)),
      progress_(mode, stderr),
      trace_(trace) {
  model_->use_gradients(data_parallel_.parameters());
  if (options.sync_batch_norm) batch_norm_ = std::make_unique<BatchNormExchange>(communicator_, *model_);
  if (trace_ != nullptr) steps_track_ = trace_->track(parallel::steps_track);
  const std::uint64_t all = options.epochs > std::numeric_limits<std::uint64_t>::max() / sampler_.steps_per_epoch()
                                ? std::numeric_limits<std::uint64_t>::max()
                                : options.epochs * sampler_.steps_per_epoch();
  total_steps_ = options.steps == 0 ? all : std::min(all, options.steps);
  schedule_ = options.schedule;
  schedule_.total_steps = total_steps_;
  try {
    schedule_.check();
  } catch (const Exception& refusal) {
    fail(refusal.error().code, "--lr-schedule, --warmup-steps: " + refusal.error().message);
  }
  learning_rate_ = scaled_learning_rate(options.optimizer.learning_rate, options.lr_scaling,
                                        sampler_.options().global_batch, options.lr_base_batch);
  result_.model = options.model;
  result_.world = world.size();
  result_.logical_shards = data_parallel_.logical_shards();
  result_.train_loss = result_.test_accuracy = std::numeric_limits<double>::quiet_NaN();
}

TrainResult Trainer::run(const JobSignals& signals) {
  started_ = Progress::Clock::now();
  bool stopped = false;
  while (!stopped && !at_last_step()) stopped = !train_epoch(signals);
  if (!result_.diverged_at && evaluated_at_ != step_) evaluate();
  progress_.clear();
  result_.steps = step_;
  result_.samples_per_s = throughput_.samples_per_s();
  result_.seconds = seconds_between(started_, Progress::Clock::now());
  result_.stop_signal = stopped ? signals.stop_signal() : 0;
  if (!result_.diverged_at) settle_ends(result_);
  return result_;
}

/// False when a stop was asked for, or the loss is not finite any more.
bool Trainer::train_epoch(const JobSignals& signals) {
  const std::uint64_t epoch = sampler_.cursor().epoch + 1;
  const std::uint64_t last = epoch * sampler_.steps_per_epoch();
  for (Step& step : data_parallel_.steps(sampler_)) {
    if (train_step(step, signals) == StepOutcome::stop) {
      end_inside_epoch();
      return false;
    }
    after_step(epoch);
    if (at_last_step()) break;
  }
  finish_epoch(epoch, step_ == last);
  return !result_.diverged_at;
}

/// Some rank asked for the end in the step under way, of its own because of a signal or of what it computed: only all
/// losses together tell every rank which.
void Trainer::end_inside_epoch() {
  if (!std::isfinite(epoch_loss_.sum_under_way(communicator_, metric_options_))) result_.diverged_at = step_ + 1;
  if (epoch_loss_.samples() != 0) result_.train_loss = epoch_loss_.take(communicator_, metric_options_);
}

StepOutcome Trainer::train_step(Step& step, const JobSignals& signals) {
  const telemetry::ScopedSpan span(trace_, steps_track_, "step", {"step", static_cast<std::int64_t>(step_ + 1)});
  const auto begin = Progress::Clock::now();
  feed_.begin_step();
  buffers_.begin_step();
  if (batch_norm_ != nullptr) batch_norm_->begin_step(sampler_.batch());
  bool finite = true;
  for (Shard& shard : step.shards()) {
    const auto [batch, leaf] = next_batch();
    const double loss = pass(shard, batch, leaf);
    buffers_.add(leaf, batch.rows);
    finite &= std::isfinite(loss);
    epoch_loss_.add(leaf, loss, batch.rows);
    recent_loss_.add(leaf, loss, batch.rows);
    progress_.note(loss * static_cast<double>(batch.rows), batch.rows);
  }
  if (!finite || signals.stop_signal() != 0) data_parallel_.request_stop();
  if (const StepOutcome outcome = step.reduce(); outcome != StepOutcome::ready) return outcome;
  optimizer_->set_learning_rate(learning_rate_ * schedule_.factor(step_ + 1));
  if (step.apply(*optimizer_, {.clip_norm = options_.clip_norm, .clip_value = options_.clip_value}) ==
      ApplyOutcome::applied) {
    buffers_.settle(communicator_, metric_options_);
  }
  ++step_;
  epoch_loss_.count(step.batch_size());
  recent_loss_.count(step.batch_size());
  throughput_.add(step.batch_size(), seconds_between(begin, Progress::Clock::now()));
  return StepOutcome::ready;
}

ShardFeed::Item Trainer::next_batch() {
  const telemetry::ScopedSpan span(trace_, steps_track_, "batch");
  return feed_.next();
}

/// Forward and backward of one leaf; its mean loss.
double Trainer::pass(Shard& shard, const data::Batch& batch, std::size_t leaf) {
  const auto now = [&] { return trace_ == nullptr ? Progress::Clock::time_point{} : Progress::Clock::now(); };
  const telemetry::Detail detail{"leaf", own_.first + static_cast<std::int64_t>(leaf)};
  const auto began = now();
  auto forward_ended = began;
  const double loss = model_->forward_backward(
      batch.features, batch.labels, [&](std::size_t parameter) { shard.ready(parameter); },
      [&] { forward_ended = now(); });
  if (trace_ != nullptr) {
    trace_->span(steps_track_, "forward", began, forward_ended, detail);
    trace_->span(steps_track_, "backward", forward_ended, now(), detail);
  }
  return loss;
}

void Trainer::after_step(std::uint64_t epoch) {
  if (options_.log_every != 0 && step_ % options_.log_every == 0) {
    const telemetry::ScopedSpan span(trace_, steps_track_, "metrics");
    say(metric_line({.step = step_,
                     .epoch = epoch,
                     .step_loss = recent_loss_.take(communicator_, metric_options_),
                     .samples_per_s = throughput_.samples_per_s()}));
  }
  const auto now = Progress::Clock::now();
  if (!progress_.due(now)) return;
  const double per_step = seconds_between(started_, now) / static_cast<double>(step_);
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
    metric.train_loss = result_.train_loss = epoch_loss_.take(communicator_, metric_options_);
  }
  if (complete) result_.epochs = epoch;
  const bool due = complete && options_.eval_every != 0 && epoch % options_.eval_every == 0;
  if (due || at_last_step()) {
    evaluate();
    metric.val_accuracy = result_.test_accuracy;
  }
  say(metric_line(metric));
}

/// Every sample of the test set exactly once, on one rank or another. A loss that is not finite there shows weights that
/// the training loss would have shown one step later.
void Trainer::evaluate() {
  const telemetry::ScopedSpan span(trace_, steps_track_, "evaluation");
  const layout::Interval share =
      data::evaluation_share(sets_.test.size(), world_.rank(), world_.size(), models::Classifier::evaluation_rows);
  std::array<std::int64_t, 3> counts{};  // correct, seen, passes whose loss was not finite
  for (std::size_t begin = share.begin; begin < share.end; begin += models::Classifier::evaluation_rows) {
    test_loader_.request({begin, std::min(begin + models::Classifier::evaluation_rows, share.end)});
    const data::Batch batch = test_loader_.next();
    const models::Evaluation found = model_->evaluate(batch.features, batch.labels);
    counts[0] += static_cast<std::int64_t>(found.correct);
    counts[1] += static_cast<std::int64_t>(found.samples);
    counts[2] += std::isfinite(found.loss_sum) ? 0 : 1;
  }
  communicator_.all_reduce(std::span<std::int64_t>(counts), sum, metric_options_);
  if (counts[1] != static_cast<std::int64_t>(sets_.test.size())) {
    fail(ErrorCode::mismatch, "the ranks evaluated " + std::to_string(counts[1]) + " samples of " +
                                  std::to_string(sets_.test.size()) + ": they have different test sets");
  }
  if (counts[2] != 0) result_.diverged_at = step_;
  evaluated_at_ = step_;
  result_.test_accuracy = counts[1] == 0 ? std::numeric_limits<double>::quiet_NaN()
                                         : static_cast<double>(counts[0]) / static_cast<double>(counts[1]);
}

/// The ranks agree on how they end: the same weights, the same signal.
void Trainer::settle_ends(TrainResult& result) {
  result.weights_xxh3 = models::weights_hash(model_->parameters());
  const std::array<std::int64_t, 3> mine{bits_of(result.weights_xxh3), result.stop_signal,
                                         bits_of(models::weights_hash(model_->buffers()))};
  std::vector<std::int64_t> all(mine.size() * static_cast<std::size_t>(world_.size()));
  communicator_.all_gather(std::span<const std::int64_t>(mine), std::span<std::int64_t>(all),
                           {.label = "weights hash"});
  for (int rank = 0; rank < world_.size(); ++rank) {
    const auto at = mine.size() * static_cast<std::size_t>(rank);
    if (all[at] != all[0] || all[at + 2] != all[2]) {
      const std::string what = all[at] != all[0] ? "weights" : "running statistics";
      fail(ErrorCode::mismatch, "rank " + std::to_string(rank) + " (" + world_.host(rank) + ") ended with other " +
                                    what + " than rank 0; the result of this run is worthless");
    }
    result.stop_signal = std::max(result.stop_signal, static_cast<int>(all[at + 1]));
  }
}

void Trainer::say(const std::string& line) {
  if (world_.rank() != 0) return;
  progress_.clear();
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

Start Trainer::start() const {
  Start start{.dataset = sets_.train.name,
              .samples = sets_.train.size(),
              .batch = sampler_.options().global_batch,
              .world = world_.size(),
              .transport = world_.size() > 1 ? world_.transport((world_.rank() + 1) % world_.size()) : "",
              .logical_shards = data_parallel_.logical_shards(),
              .blas = models::blas_description()};
  start.model = model_->description();
  for (const Parameter& parameter : model_->parameters()) start.parameters += parameter.value.count;
  return start;
}

}  // namespace trireme::cli
