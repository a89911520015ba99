// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/require.hpp"
#include "support/volatile_files.hpp"
#include "trireme/checkpoint/folder.hpp"
#include "trireme/checkpoint/saver.hpp"
#include "trireme/world/world.hpp"
#include "unit/checkpoint/toy_state.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace trireme::testing {

/// One attempt of a job with a small state, on one rank.
class OneAttempt {
 public:
  OneAttempt(World& world, checkpoint::FileSystem& files, const checkpoint::SaverOptions& options = {},
             std::function<void(const checkpoint::Manifest&)> accept = {})
      : toy_(ToyState::small(world.rank(), world.size())), options_(options) {
    state_.add("toy", toy_);
    checkpoint::FolderOptions folder{
        .path = VolatileFiles::root, .job = "toy", .host = "host", .accept = std::move(accept)};
    folder.warn = [this](const std::string& line) { warnings_.push_back(line); };
    folder_.emplace(checkpoint::Folder::open(world.communicator(), files, folder));
    folder_->take_over();
  }
  OneAttempt(const OneAttempt&) = delete;
  OneAttempt& operator=(const OneAttempt&) = delete;

  /// The step it goes on from, every bit verified; 0: none. A state's bits are those of its manifest's step, unless `salt` says.
  std::uint64_t resume() {
    parent_ = folder_->resume(state_);
    if (!parent_) return 0;
    salt_ = toy_.number;
    require(toy_.holds(salt_), "every bit is that of one state");
    return parent_->step;
  }
  /// What the state was filled with.
  std::uint64_t salt() const { return salt_; }

  /// Begins to save a state of made-up bits, and spoils it.
  void begin(std::uint64_t step, std::optional<std::uint64_t> salt = {}) {
    // What it went on from a saver does not save again; without a parent it does.
    if (!saver_) saver_.emplace(*folder_, options_, parent_ && parent_->step != step ? parent_ : std::nullopt);
    toy_.fill(salt.value_or(step));
    saver_->save(step, state_);
    toy_.fill(99999);
  }
  checkpoint::SaveReport finish() {
    auto report = saver_->finish();
    require(report.has_value(), "a save was under way");
    return *report;
  }
  checkpoint::SaveReport save(std::uint64_t step, std::optional<std::uint64_t> salt = {}) {
    begin(step, salt);
    return finish();
  }
  void must_save(std::uint64_t step) {
    const auto report = save(step);
    require(report.is_complete, "step " + std::to_string(step) + " is saved: " + report.problem);
  }

  checkpoint::Folder& folder() { return *folder_; }
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  ToyState toy_;
  checkpoint::TrainingState state_;
  checkpoint::SaverOptions options_;
  std::vector<std::string> warnings_;
  std::optional<checkpoint::Folder> folder_;
  std::optional<checkpoint::Manifest> parent_;
  std::uint64_t salt_ = 0;
  std::optional<checkpoint::Saver> saver_;
};

/// Something that rank 0 makes and all ranks, threads of one process, use.
template <class T>
class SharedByRanks {
 public:
  T& make(World& world, const std::function<std::unique_ptr<T>()>& how) {
    world.communicator().barrier();  // nobody uses the one before
    if (world.rank() == 0) value_ = how();
    world.communicator().barrier();
    return *value_;
  }

 private:
  std::unique_ptr<T> value_;
};

}  // namespace trireme::testing
