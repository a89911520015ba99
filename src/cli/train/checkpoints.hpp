// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/job_signals.hpp"
#include "cli/train/options.hpp"
#include "cli/train/settings_record.hpp"
#include "trireme/checkpoint/file_system.hpp"
#include "trireme/checkpoint/folder.hpp"
#include "trireme/checkpoint/saver.hpp"
#include "trireme/world/world.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace trireme::cli {

/// The checkpoints of a training job: when one is due, and what is said of them. Collective but for what says otherwise.
class Checkpoints {
 public:
  using Clock = std::chrono::steady_clock;

  /// Looks at the folder. `world` must outlive it. `say`: how lines come to stderr; rank 0's count.
  /// Errors: invalid_argument when the folder holds another job's checkpoints, or none that every rank can read; those of
  ///         checkpoint::Folder::open.
  Checkpoints(World& world, const CheckpointChoice& choice, SettingsRecord settings, std::string job,
              std::function<void(const std::string&)> say);

  /// The checkpoint to go on from, before it is read: what it says of the leaves decides how the state is built.
  const std::optional<checkpoint::Manifest>& newest() const { return newest_; }
  /// What all checkpoints hold beside the settings; all of it outlives this.
  void add(std::string section, checkpoint::Stateful& part) { state_.add(std::move(section), part); }
  /// Where the tensors of what was added lie, if not on the host.
  void use_devices(checkpoint::DeviceAccess devices) { state_.use_devices(std::move(devices)); }
  /// Takes the folder over and puts the newest good checkpoint into what was added, for batches of `leaves` leaves; its step. Nothing, when there is none.
  std::optional<std::uint64_t> resume(int leaves);

  /// What the newest complete one took from its begin, 0 before the first. Threads: any; not collective.
  double save_seconds() const { return save_seconds_.load(std::memory_order_relaxed); }
  /// Whether this rank asks the others for a checkpoint now. Not collective.
  bool asks_for_one(JobSignals& signals) const;
  /// Whether this rank asks for the end now. Not collective.
  bool asks_for_stop() const;
  /// Whether one is due behind `step`, where training stood at `before` when it began, and some rank asked for one or none did. The same on all
  /// ranks; not collective.
  bool is_due(std::uint64_t before, std::uint64_t step, bool was_asked_for) const;
  bool must_stop(std::uint64_t step) const;

  /// Begins one behind `step`, or moves the one on that is under way.
  void save(std::uint64_t step);
  void advance();
  /// Makes ready for the first one, once the optimizer has its state. Not collective.
  void prepare() { saver_->prepare(state_); }
  /// Waits for the one that is under way, if there is one: whether it is complete.
  bool finish();
  /// Writes one behind `step` and waits for it: whether it is complete.
  bool save_last(std::uint64_t step);

 private:
  void begin(std::uint64_t step);
  void warn_of_leaves(const checkpoint::Manifest& manifest) const;
  void warn_of_mesh(const checkpoint::Manifest& manifest) const;
  void tell(const std::optional<checkpoint::SaveReport>& report);

  CheckpointChoice choice_;
  SettingsRecord settings_;
  std::function<void(const std::string&)> say_;
  bool is_first_;
  int leaves_ = 0;
  std::unique_ptr<checkpoint::FileSystem> files_;
  std::optional<checkpoint::Folder> folder_;
  std::optional<checkpoint::Manifest> newest_;
  checkpoint::TrainingState state_;
  std::unique_ptr<checkpoint::Saver> saver_;
  bool ends_ = false;  // what is written now is the last
  Clock::time_point began_;
  Clock::time_point last_save_;
  std::uint64_t first_step_ = 0;
  std::optional<std::uint64_t> last_saved_;  // step: begun, or there
  bool postponed_ = false;                   // one was due while another was being written
  std::optional<std::uint64_t> complete_;    // the newest one's step
  std::atomic<double> save_seconds_{0.0};    // what that took
};

}  // namespace trireme::cli
