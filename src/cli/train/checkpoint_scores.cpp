// SPDX-License-Identifier: Apache-2.0
#include "cli/train/checkpoint_scores.hpp"

#include "cli/train/report.hpp"
#include "cli/train/settings_agreement.hpp"
#include "cli/train/settings_record.hpp"
#include "cli/train/setup.hpp"
#include "trireme/base/error.hpp"
#include "trireme/checkpoint/folder.hpp"
#include "trireme/checkpoint/local_files.hpp"
#include "trireme/checkpoint/onlooker.hpp"
#include "trireme/checkpoint/training_parts.hpp"
#include "trireme/models/weights_hash.hpp"
#include "trireme/world/run_ranks.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

namespace trireme::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds between_looks(1);
constexpr std::chrono::seconds between_words(30);
constexpr int most_tries = 3;  // of a checkpoint that is there and cannot be read

void tell(const std::string& line) { std::fprintf(stderr, "trireme train: evaluator: %s\n", line.c_str()); }

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

std::optional<std::uint64_t> number_in(const checkpoint::Manifest& manifest, const char* name) {
  const auto found = manifest.values.find(name);
  if (found == manifest.values.end()) return std::nullopt;
  const auto* number = std::get_if<std::uint64_t>(&found->second);
  return number == nullptr ? std::nullopt : std::optional(*number);
}

/// The epoch of a step, counted from 1, as the trainer's lines have it.
std::uint64_t epoch_of(const checkpoint::Manifest& manifest) {
  const std::uint64_t samples = number_in(manifest, "position/samples").value_or(0);
  const std::uint64_t batch = number_in(manifest, "position/global_batch").value_or(0);
  if (samples == 0 || batch == 0 || manifest.step == 0) return 1;
  const std::uint64_t steps_per_epoch = (samples - 1) / batch + 1;
  return (manifest.step - 1) / steps_per_epoch + 1;
}

bool is_complete(const checkpoint::Manifest& manifest) {
  if (number_in(manifest, "position/stopped_early_at")) return true;
  const auto total = number_in(manifest, "position/total_steps");
  return total && manifest.step >= *total;
}

class CheckpointScores {
 public:
  CheckpointScores(World& world, const TrainOptions& options, const TrainingData& data, JobSignals& signals)
      : options_(options),
        signals_(signals),
        communicator_(world.communicator()),
        task_(data.make_task(task_place(world, communicator_, options, data, std::nullopt))),
        weights_(task_->parameters(), task_->buffers(), options.precision, options.average),
        weights_state_(weights_.parameters()),
        buffers_state_({task_->buffers().begin(), task_->buffers().end()}),
        files_(checkpoint::local_files()),
        onlooker_(*files_, *options.checkpoints.folder),
        settings_(settings_with(options, data)) {
    if (task_->size(Part::validation) == 0)
      fail(ErrorCode::invalid_argument,
           "no samples are held out to score checkpoints by: raise --held-out, or give a --test-dataset");
    state_.add("model", weights_state_);
    state_.add("buffers", buffers_state_);
    if (WeightAverage* average = weights_.average()) state_.add("average", average_state_.emplace(*average));
  }

  int run() {
    tell("scores the checkpoints of " + onlooker_.path() + " on " + std::to_string(task_->size(Part::validation)) +
         " samples of " + task_->dataset());
    while (!is_finished_) {
      const bool is_last_look = signals_.stop_signal() != 0;
      const bool scored = score_newest();
      if (is_finished_ || (is_last_look && !scored)) break;
      if (!scored && !wait()) break;
    }
    if (scored_ != 0) std::printf("%s\n", result_line().c_str());
    std::fflush(stdout);
    const bool has_scored_all = scored_ != 0 && !is_behind_;
    if (is_finished_ || has_scored_all) return 0;
    return signals_.stop_signal() != 0 ? 128 + signals_.stop_signal() : 1;
  }

 private:
  static SettingsRecord settings_with(const TrainOptions& options, const TrainingData& data) {
    auto settings = settings_of(options);
    settings.emplace_back("the content of --dataset", data.content());
    return SettingsRecord(std::move(settings));
  }

  /// Whether there was one that had not been scored, and is now. A stop is no reason to score another.
  bool score_newest() {
    const auto newest = onlooker_.newest();
    is_behind_ = newest && checkpoint::id_of(*newest) != last_ && checkpoint::id_of(*newest) != damaged_;
    if (!is_behind_ || signals_.stop_signal() != 0) return false;
    settings_.check_same_job(*newest, onlooker_.path());
    const auto begin = Clock::now();
    if (!load(*newest)) return false;
    score(*newest, begin);
    is_behind_ = false;
    is_finished_ = is_complete(*newest);
    return true;
  }

  /// False when it could not be read: removed meanwhile, or damaged.
  bool load(const checkpoint::Manifest& manifest) {
    try {
      checkpoint::load(communicator_, *files_, onlooker_.path(), manifest, state_);
      weights_.settle();
      tries_ = 0;
      return true;
    } catch (const Exception& failure) {
      const ErrorCode code = failure.error().code;
      if (code != ErrorCode::corrupt && code != ErrorCode::system) throw;
      if (!onlooker_.is_there(manifest)) return false;
      if (++tries_ < most_tries) return false;
      tries_ = 0;
      damaged_ = checkpoint::id_of(manifest);
      tell("warning: the checkpoint of step " + std::to_string(manifest.step) +
           " is left out: " + failure.error().message);
      return false;
    }
  }

  void score(const checkpoint::Manifest& manifest, Clock::time_point begin) {
    const bool averaged = weights_.show_average();
    score_ = evaluate(*task_, Part::validation, communicator_, {});
    hash_ = models::weights_hash(weights_.parameters());
    if (averaged) weights_.hide_average();
    last_ = checkpoint::id_of(manifest);
    ++scored_;
    if (best_step_ == 0 || score_.loss < best_.loss || std::isnan(best_.loss)) {
      best_step_ = manifest.step;
      best_ = score_;
    }
    last_word_ = last_score_ = Clock::now();
    const double samples = static_cast<double>(task_->size(Part::validation));
    std::printf("%s\n", metric_line({.step = manifest.step,
                                     .epoch = epoch_of(manifest),
                                     .validation = score_,
                                     .samples_per_s = samples / std::max(seconds_since(begin), 1e-9)})
                            .c_str());
    std::fflush(stdout);
  }

  /// Until the next look, or a signal. False when it has waited long enough: the job that wrote the checkpoints may be gone.
  bool wait() {
    const auto patience = options_.checkpoints.evaluator_patience;
    if (patience.count() != 0 && Clock::now() - last_score_ >= patience) {
      tell("ends: for " + std::to_string(patience.count()) + " s there has been no " +
           (scored_ == 0 ? std::string("checkpoint") : "checkpoint behind step " + std::to_string(last_.step)) +
           " in " + onlooker_.path() + " (--evaluator-patience)");
      return false;
    }
    const auto until = Clock::now() + between_looks;
    while (Clock::now() < until && signals_.stop_signal() == 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    if (Clock::now() - last_word_ < between_words) return true;
    last_word_ = Clock::now();
    tell("waits for " +
         std::string(scored_ == 0 ? "the first checkpoint" : "a checkpoint behind step " + std::to_string(last_.step)) +
         " in " + onlooker_.path());
    return true;
  }

  std::string result_line() const {
    return score_result_line({.model = options_.model,
                              .scored = scored_,
                              .step = last_.step,
                              .score = score_,
                              .best_step = best_step_,
                              .best = best_,
                              .seconds = seconds_since(began_),
                              .weights_xxh3 = hash_});
  }

  const TrainOptions& options_;
  JobSignals& signals_;
  Communicator communicator_;
  std::unique_ptr<Task> task_;
  Weights weights_;
  checkpoint::ParameterState weights_state_;
  checkpoint::ParameterState buffers_state_;
  std::optional<checkpoint::WeightAverageState> average_state_;
  checkpoint::TrainingState state_;
  std::unique_ptr<checkpoint::FileSystem> files_;
  checkpoint::Onlooker onlooker_;
  SettingsRecord settings_;

  Clock::time_point began_ = Clock::now();
  Clock::time_point last_word_ = Clock::now();
  Clock::time_point last_score_ = Clock::now();  // or the start
  checkpoint::CheckpointId last_{};              // scored
  checkpoint::CheckpointId damaged_{};           // left out
  int tries_ = 0;
  bool is_behind_ = false;    // there is a newer one than the last scored
  bool is_finished_ = false;  // the last scored is training's last
  std::uint64_t scored_ = 0;
  Score score_{};
  std::string hash_;
  std::uint64_t best_step_ = 0;
  Score best_{};
};

}  // namespace

int score_checkpoints(const TrainOptions& trained, const TrainingData& data, JobSignals& signals) {
  int exit_code = 1;
  TrainOptions options = trained;  // however the workers share out what they train: this is one process
  options.zero = options.shard_group = 0;
  options.offload.reset();
  options.mesh.reset();
  // A world of its own, whatever the environment says of the workers'.
  testing::run_ranks(1, [&](World& world) {
    CheckpointScores scores(world, options, data, signals);
    signals.attend();
    exit_code = scores.run();
  });
  return exit_code;
}

}  // namespace trireme::cli
