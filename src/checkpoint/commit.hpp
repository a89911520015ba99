// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/error.hpp"
#include "trireme/checkpoint/folder.hpp"
#include "trireme/checkpoint/manifest.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace trireme::checkpoint {

/// What rank 0 tells the others of a commit.
struct CommitOutcome {
  ErrorCode code = ErrorCode::none;
  std::string problem{};
  std::uint64_t bytes = 0;
  std::vector<std::string> removed{};  ///< files of older checkpoints
  bool may_stand = false;              ///< though it failed
};
std::string to_text(const CommitOutcome& outcome);
CommitOutcome outcome_of(std::span<const std::byte> text);

/// Completes a checkpoint whose parts are all durable: its manifest as JSON, then as the journal's next entry; then removes what
/// need not stay. Rank 0, on a thread of its own.
class Commit {
 public:
  /// `manifest` gets name, size and hash of its JSON.
  /// Errors: corrupt, of what the ranks gave, when it does not hold together.
  explicit Commit(Manifest& manifest);
  /// Errors: those of the journal, closed among them, and of the file system.
  void run(Folder& folder, std::uint64_t keep_last, std::uint64_t keep_every);

  /// What it has done, also when it threw.
  bool has_json() const { return has_json_; }
  bool may_stand() const { return may_stand_; }
  const std::vector<std::string>& removed() const { return removed_; }
  /// Why older ones are still there; empty when they are not.
  const std::string& not_removed() const { return not_removed_; }

 private:
  const Manifest& manifest_;
  std::string json_;
  bool has_json_ = false;
  bool may_stand_ = false;
  std::vector<std::string> removed_;
  std::string not_removed_;
};

}  // namespace trireme::checkpoint
