// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "checkpoint/entry.hpp"
#include "trireme/checkpoint/file_system.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::checkpoint {

/// The journal of a checkpoint folder: files whose names are ascending numbers, each made only if it is not there. An attempt
/// that begins takes the next number, and so does each of its commits; so an attempt that another has followed finds the number
/// taken and learns by whom, whatever was going on in between. Entries that say that an attempt began are kept for ever.
///
/// Where every host has a folder of its own, of which a platform makes one, numbers taken on one host are not seen on another;
/// and where a storage has no second names, two may take one number at the same instant. There the names end in the attempt's
/// id, so that none takes another's place; an attempt looks again after its commit, and the order of attempts decides at load.
/// Threads: one at a time.
class Journal {
 public:
  struct Item {
    std::uint64_t number;
    std::string file;  ///< its name in the folder
    Entry entry;
  };
  struct Damage {
    std::uint64_t number;
    std::string file;
    std::string what;
  };
  /// What there is, in ascending order. What cannot be read stands apart.
  struct Contents {
    std::vector<Item> items;
    std::vector<Damage> damaged;
    std::uint64_t last_number = 0;
    /// Who began last; nothing when nobody did.
    std::optional<Attempt> latest() const;
  };

  /// `files` must outlive it. `folder`: the checkpoint folder.
  Journal(FileSystem& files, std::string folder) : files_(files), folder_(std::move(folder)) {}

  std::string folder() const { return folder_ + "/journal"; }
  std::string path(const std::string& file) const { return folder() + "/" + file; }
  Contents read() const;

  /// Begins an attempt: gives it a generation above all there are and writes it down.
  void claim(Attempt& attempt, bool is_shared);
  /// A checkpoint of `attempt`, which claim() began, is complete.
  /// Errors: closed naming the attempt that has begun since; corrupt when that cannot be read; those of the file system.
  void commit(const Manifest& manifest, bool is_shared);
  /// Errors: closed naming the attempt that has begun since `attempt`.
  void refuse_if_followed(const Attempt& attempt) const { refuse_if_followed(attempt, read()); }
  /// Whether a commit of it may stand in the journal, though it failed.
  bool may_hold(const CheckpointId& id) const;
  /// The checkpoint is none any more.
  void remove(const std::string& file);

 private:
  enum class Appended : unsigned char { no, alone, beside_others };
  Appended append(std::uint64_t number, const Entry& entry, const Attempt& by, bool is_shared);
  void refuse_if_followed(const Attempt& attempt, const Contents& contents) const;
  void write(const std::string& path, const Entry& entry);
  FileSystem& files_;
  std::string folder_;
};

/// "00000012".
std::string journal_number(std::uint64_t number);

inline constexpr std::string_view draft_prefix = "draft-";
/// "draft-g0002-7f00aa12-00000012": an entry before it has its number.
std::string draft_name(const Attempt& by, std::uint64_t number);

}  // namespace trireme::checkpoint
