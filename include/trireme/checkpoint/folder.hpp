// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/checkpoint/file_system.hpp"
#include "trireme/checkpoint/manifest.hpp"
#include "trireme/checkpoint/state.hpp"
#include "trireme/comm/communicator.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace trireme::checkpoint {

struct FolderOptions {
  std::string path{};
  std::string job{};                ///< what trains, for messages
  std::string host{};               ///< this one, for messages; rank 0's counts
  std::uint64_t restart_count = 0;  ///< how often the platform has started this job again, where it says
  /// Throws when a checkpoint there is another job's: asked on rank 0, of the newest one before this attempt takes the folder over,
  /// and again of the one that is loaded.
  std::function<void(const Manifest&)> accept{};
  /// Lines for people: rank 0's.
  std::function<void(const std::string&)> warn{};
};

/// A checkpoint folder, and the attempt of a job that takes it over:
///
///     journal/00000007                     an attempt began, or a checkpoint is complete (its manifest)
///     step-00000400/g0002-7f00aa12-…       parts, and the manifest as JSON; the attempt is in every name
///
/// A checkpoint is complete when its manifest stands in the journal and every file it names is what it says; whatever else
/// lies there is none. Parts come first, the manifest last; no file changes once it is written, none is renamed.
/// Shared by all hosts, or one per host that a platform fills from one place: found out at open().
/// Threads: one at a time, in the same order on all ranks.  Errors: alike on all ranks, naming the rank.
class Folder {
 public:
  /// Looks at the folder, and makes it where it is not there. Nobody is disturbed yet. Collective.
  /// Errors: what accept() throws; invalid_argument for an empty path; system when some rank cannot write there.
  static Folder open(Communicator communicator, FileSystem& files, const FolderOptions& options);

  /// Begins an attempt: from now on one that began before cannot commit any more. resume() does it once nothing speaks against
  /// going on, and a Saver, where nobody has; the first call counts. Collective.
  void take_over();
  /// Errors: invalid_argument before take_over().
  const Attempt& attempt() const;
  bool is_shared() const { return is_shared_; }
  const std::string& path() const { return options_.path; }
  FileSystem& files() const { return *files_; }
  Communicator& communicator() { return communicator_; }

  /// The checkpoints of which every rank sees the manifest and all files, at their sizes; newest first. None in an empty
  /// folder. Collective.
  /// Errors: invalid_argument saying what is missing on which rank, when there are checkpoints but none is complete everywhere,
  ///         or when there are files of checkpoints and no journal.
  std::vector<Manifest> complete();

  /// Goes on: takes the folder over, puts the newest checkpoint that is good into `state` and returns its manifest. It is verified
  /// while it is read; newer ones that are not complete are warned of, and so is a damaged one, naming file and tensor, and the
  /// one before it taken. Nothing, and `state` untouched, when there is no checkpoint. Every byte is read by one rank, which gives it to the
  /// others. Leftovers are tidied up. Collective.
  /// Errors: those of complete() and of accept(), and invalid_argument when `state` is not of the newest one's form: before the folder is
  ///         taken over. corrupt when every one is damaged; system when one cannot be read, which may pass. After an error the
  ///         state is undefined.
  std::optional<Manifest> resume(const TrainingState& state);

  /// Removes what attempts before this one began to write and never completed; nothing while some of the journal cannot be
  /// read. Collective.
  void tidy();

  void warn(const std::string& line) const {
    if (options_.warn && communicator_.rank() == 0) options_.warn(line);
  }

 private:
  Folder(Communicator communicator, FileSystem& files, const FolderOptions& options)
      : communicator_(std::move(communicator)), files_(&files), options_(options) {}
  void find_whether_shared();
  void check_writable();
  std::vector<Manifest> find(bool warns);
  void refuse_without_journal(bool has_entries);
  void remove_leftovers(const std::set<std::string>& named);

  Communicator communicator_;
  FileSystem* files_;
  FolderOptions options_;
  std::optional<Attempt> attempt_{};
  bool is_shared_ = true;
};

/// Puts one checkpoint into `state`, wherever it came from. Collective.
/// Errors: corrupt naming rank, file and tensor; those of the parts of the state.
void load(Communicator& communicator, const FileSystem& files, const std::string& folder, const Manifest& manifest,
          const TrainingState& state);

}  // namespace trireme::checkpoint
