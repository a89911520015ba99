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
  /// Throws when the newest checkpoint there is another job's: asked on rank 0, before this attempt takes the folder over.
  std::function<void(const Manifest&)> accept{};
  /// Lines for people: rank 0's.
  std::function<void(const std::string&)> warn{};
};

/// A checkpoint folder in the hands of one attempt of a job:
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
  /// Takes the folder over: from now on an attempt that began before this one cannot commit any more. Collective.
  /// Errors: what accept() throws; system when some rank cannot write there.
  static Folder open(Communicator communicator, FileSystem& files, const FolderOptions& options);

  const Attempt& attempt() const { return attempt_; }
  bool is_shared() const { return is_shared_; }
  const std::string& path() const { return options_.path; }
  FileSystem& files() const { return *files_; }
  Communicator& communicator() { return communicator_; }

  /// The checkpoints of which every rank sees the manifest and all files, at their sizes; newest first. None in an empty
  /// folder. Warns of newer ones that are not complete. Collective.
  /// Errors: invalid_argument saying what is missing on which rank, when there are checkpoints but none is complete everywhere.
  std::vector<Manifest> complete();

  /// Puts the newest checkpoint that is good into `state` and returns its manifest: verified while it is read; a damaged one is
  /// warned of, naming file and tensor, and the one before it taken. Nothing, and `state` untouched, when there is no
  /// checkpoint. Every byte is read by one rank, which gives it to the others. Collective.
  /// Errors: those of complete(); corrupt when every one is damaged; invalid_argument when `state` is not of its form. After
  ///         an error the state is undefined.
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
  void claim();
  void remove_leftovers(const std::set<std::string>& named);

  Communicator communicator_;
  FileSystem* files_;
  FolderOptions options_;
  Attempt attempt_{};
  bool is_shared_ = true;
};

/// Puts one checkpoint into `state`, wherever it came from. Collective.
/// Errors: corrupt naming rank, file and tensor; those of the parts of the state.
void load(Communicator& communicator, const FileSystem& files, const std::string& folder, const Manifest& manifest,
          const TrainingState& state);

}  // namespace trireme::checkpoint
