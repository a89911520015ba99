// SPDX-License-Identifier: Apache-2.0
#include "cli/train/checkpoints.hpp"

#include "cli/train/settings_agreement.hpp"
#include "trireme/base/error.hpp"
#include "trireme/checkpoint/local_files.hpp"

#include <cstdio>
#include <utility>

namespace trireme::cli {
namespace {

std::string mib(std::uint64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f MiB", static_cast<double>(bytes) / (1 << 20));
  return text;
}

std::string seconds_text(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f s", seconds);
  return text;
}

}  // namespace

Checkpoints::Checkpoints(World& world, const CheckpointChoice& choice, SettingsRecord settings, std::string job,
                         std::function<void(const std::string&)> say)
    : choice_(choice),
      settings_(std::move(settings)),
      say_(std::move(say)),
      is_first_(world.rank() == 0),
      files_(checkpoint::local_files()),
      began_(Clock::now()),
      last_save_(began_) {
  const checkpoint::FolderOptions options{
      .path = *choice.folder,
      .job = std::move(job),
      .host = world.host(world.rank()),
      .restart_count = static_cast<std::uint64_t>(choice.restart_count),
      .accept = [this](const checkpoint::Manifest& manifest) { settings_.check_same_job(manifest, *choice_.folder); },
      .warn = [this](const std::string& line) { say_("warning: " + line); }};
  try {
    folder_ = checkpoint::Folder::open(world.communicator(), *files_, options);
  } catch (const Exception& failure) {  // of the folder: what the user typed
    if (failure.error().code != ErrorCode::system) throw;
    fail(ErrorCode::invalid_argument, "--checkpoint-dir: " + failure.error().message);
  }
  if (auto complete = folder_->complete(); !complete.empty()) newest_ = std::move(complete.front());
  state_.add(SettingsRecord::section, settings_);
}

std::optional<std::uint64_t> Checkpoints::resume(int leaves) {
  leaves_ = leaves;
  const auto manifest = folder_->resume(state_);
  saver_ = std::make_unique<checkpoint::Saver>(
      *folder_, checkpoint::SaverOptions{.keep_last = choice_.keep_last, .keep_every = choice_.keep_every}, manifest);
  if (!manifest) return std::nullopt;
  first_step_ = manifest->step;
  last_saved_ = complete_ = first_step_;
  if (is_first_) {
    const std::string changes = settings_.changes_since(*manifest);
    say_("goes on from step " + std::to_string(manifest->step) + " of " + folder_->path() + ", saved by " +
         std::to_string(manifest->world) + (manifest->world == 1 ? " rank" : " ranks") +
         (changes.empty() ? "" : "; told otherwise: " + changes));
    warn_of_leaves(*manifest);
    warn_of_mesh(*manifest);
  }
  return manifest->step;
}

void Checkpoints::warn_of_leaves(const checkpoint::Manifest& manifest) const {
  const auto saved = manifest.values.find("position/leaves");
  if (saved == manifest.values.end() || checkpoint::text_of(saved->second) == std::to_string(leaves_)) return;
  const std::string before = checkpoint::text_of(saved->second);
  say_(
      "warning: batches are cut into " + std::to_string(leaves_) + " leaves now, into " + before +
      " before: the weights will not be those of a run without a stop (--logical-shards V, the same for all starts, keeps "
      "them on up to V ranks)");
}

void Checkpoints::warn_of_mesh(const checkpoint::Manifest& manifest) const {
  const auto before = settings_.former(manifest, arithmetic_of_mesh);
  if (!before) return;
  say_(
      "warning: the model is computed as " + settings_.now(arithmetic_of_mesh) + " now, as " + *before +
      " before: the weights will be those of a run without a stop but for rounding (--mesh with another tensor axis, or "
      "other --micro-batches)");
}

bool Checkpoints::asks_for_one(JobSignals& signals) const {
  const bool is_time = is_first_ && choice_.every.time.count() != 0 && Clock::now() - last_save_ >= choice_.every.time;
  return signals.take_checkpoint_request() || is_time;
}

bool Checkpoints::asks_for_stop() const {
  const auto& stop_after = choice_.stop_after.time;
  return is_first_ && stop_after.count() != 0 && Clock::now() - began_ >= stop_after;
}

bool Checkpoints::is_due(std::uint64_t before, std::uint64_t step, bool was_asked_for) const {
  return was_asked_for || postponed_ ||
         (choice_.every.steps != 0 && step / choice_.every.steps != before / choice_.every.steps);
}

bool Checkpoints::must_stop(std::uint64_t step) const {
  return choice_.stop_after.steps != 0 && step - first_step_ >= choice_.stop_after.steps;
}

/// Training waits for no disk: while one is being written, the next is put off until a step finds it done.
void Checkpoints::save(std::uint64_t step) {
  if (step == last_saved_) return;
  if (saver_->is_busy()) tell(saver_->advance());
  if (saver_->is_busy()) {
    if (!std::exchange(postponed_, true) && is_first_)
      say_("the checkpoint of step " + std::to_string(step) + " is put off: that of step " +
           std::to_string(*last_saved_) + " is still being written");
    return;
  }
  begin(step);
}

void Checkpoints::begin(std::uint64_t step) {
  postponed_ = false;
  last_save_ = Clock::now();
  last_saved_ = step;
  tell(saver_->save(step, state_));
}

void Checkpoints::advance() { tell(saver_->advance()); }

bool Checkpoints::finish() {
  if (!saver_->is_busy()) return true;
  tell(saver_->finish());
  return complete_ == last_saved_;
}

bool Checkpoints::save_last(std::uint64_t step) {
  ends_ = true;
  if (step != last_saved_) begin(step);
  tell(saver_->finish());
  return complete_ == step;
}

void Checkpoints::tell(const std::optional<checkpoint::SaveReport>& report) {
  if (!report) return;
  if (report->is_complete) {
    complete_ = report->step;
    save_seconds_.store(report->seconds, std::memory_order_relaxed);
  } else if (last_saved_ == report->step) {
    last_saved_ = complete_;
  }
  if (!is_first_) return;
  const std::string which = "the checkpoint of step " + std::to_string(report->step);
  if (report->is_complete) {
    say_("wrote " + which + ": " + mib(report->bytes) + " in " + seconds_text(report->seconds));
    if (!report->problem.empty()) say_("warning: " + report->problem);
  } else {
    say_("warning: " + which + " could not be written: " + report->problem +
         (ends_ ? "; " : "; training goes on, and ") +
         (complete_ ? "the newest checkpoint is that of step " + std::to_string(*complete_)
                    : "there is no checkpoint yet"));
  }
}

}  // namespace trireme::cli
