// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/checkpoint/file_system.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace trireme::testing {

/// What a crash of the machine leaves of what was not yet durable.
enum class Crash : unsigned char {
  loses_all,   ///< nothing of it
  loses_none,  ///< all of it
  tears        ///< by chance some names and not others, and of contents a prefix, behind which may be zeros
};

/// A disk in memory, as hostile as POSIX lets a disk be: what is written is durable when sync() returns, a name (made, linked,
/// removed) when sync_folder() of its folder returns, make_folder() included; a crash may take away anything else, in any order.
/// As an object store instead: no second names; a file appears, durable, when it is synced or closed.
/// The folder `root` is there from the begin. Threads: any.
class VolatileFiles final : public checkpoint::FileSystem {
 public:
  static constexpr const char* root = "/job";
  enum class Kind : unsigned char { disk, object_store };

  explicit VolatileFiles(Kind kind = Kind::disk);
  /// The same disk once more, with what is and what is not durable; without faults and counts.
  std::unique_ptr<VolatileFiles> clone() const;
  /// The disk as the next start of the machine finds it.
  std::unique_ptr<VolatileFiles> after_crash(Crash crash, std::uint64_t seed = 0) const;

  /// Calls that change something, and all calls, so far.
  std::uint64_t changes() const;
  std::uint64_t calls() const;
  /// The machine ends in place of the k-th change from now (from 0): that and all later calls throw.
  void die_at_change(std::uint64_t k);
  bool is_dead() const;
  /// The next changes of those names fail with EIO; empty: none.
  void fail_when(std::function<bool(const std::string& what, const std::string& path)> fails);
  /// Before the k-th call from now (from 0), on the calling thread. Calls within it trigger nothing.
  void at_call(std::uint64_t k, std::function<void()> hook);
  /// Writes fail with ENOSPC once they would bring the bytes written from now on above `bytes`; nothing: never.
  void limit_space(std::optional<std::uint64_t> bytes);

  /// What was read or written, for counts.
  struct Access {
    std::string path;
    std::uint64_t offset;
    std::uint64_t bytes;
  };
  std::vector<Access> reads() const;
  std::vector<Access> writes() const;
  void forget_accesses();

  /// Every file, by path; and how to change it behind everybody's back, durably.
  std::map<std::string, std::vector<std::byte>> contents() const;
  void put(const std::string& path, std::vector<std::byte> bytes);

  void make_folder(const std::string& path) override;
  std::vector<std::string> list(const std::string& folder) const override;
  std::optional<std::uint64_t> size(const std::string& path) const override;
  std::unique_ptr<checkpoint::OutputFile> create(const std::string& path) override;
  std::unique_ptr<checkpoint::InputFile> open(const std::string& path) const override;
  std::optional<bool> link(const std::string& from, const std::string& to) override;
  void sync_folder(const std::string& folder) override;
  bool remove(const std::string& path) override;
  bool remove_folder(const std::string& path) override;

 private:
  friend class VolatileOutput;
  friend class VolatileInput;
  struct File {
    std::vector<std::byte> bytes;
    std::size_t synced = 0;  // a prefix
  };
  /// A folder has no file.
  using Names = std::map<std::string, std::shared_ptr<File>>;

  void call() const;
  void change(const std::string& what, const std::string& path);
  void publish(const std::string& path, const std::shared_ptr<File>& file);
  void append(const std::string& path, File& file, std::span<const std::byte> bytes);

  const Kind kind_;
  mutable std::mutex mutex_;
  Names seen_, durable_;
  mutable std::uint64_t calls_ = 0;
  std::uint64_t changes_ = 0;
  std::optional<std::uint64_t> death_;
  mutable std::optional<std::uint64_t> hook_at_;
  std::function<void()> hook_;
  std::function<bool(const std::string&, const std::string&)> fails_;
  std::optional<std::uint64_t> space_;
  bool is_dead_ = false;
  mutable std::vector<Access> reads_;
  std::vector<Access> writes_;
};

}  // namespace trireme::testing
