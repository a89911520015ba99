// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engines/nccl/nccl_api.hpp"

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

namespace trireme::engines::nccl {

/// NCCL, loaded. A file is loaded once in a process and never unloaded: threads of its own may be in it.
/// Threads: any.
class Library {
 public:
  /// `named` alone if it is not empty (TRIREME_NCCL_LIBRARY), else libnccl.so.2 as the loader finds it.
  /// Errors: unsupported naming what was looked for, why it cannot be used, and what to install or set.
  static std::shared_ptr<Library> load(const std::string& named);
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  const api::Calls& calls() const { return calls_; }
  int version() const { return version_; }
  /// "NCCL 2.28.9".
  std::string words() const;
  /// The optional functions that this version lacks, as a list in words; empty when it has all.
  const std::string& missing() const { return missing_; }
  /// What failed in its own words: "ncclAllReduce: unhandled cuda error (…)".
  std::string words_of(api::Result result, const char* call, api::Comm comm) const;

  /// Held around every group of calls: in one process NCCL is given work in one order, whichever threads give it.
  static std::mutex& launch_order();
  /// Threads that still end communicators which nobody waits for any more.
  std::atomic<int>& ending() { return ending_; }

 private:
  Library() = default;
  api::Calls calls_{};
  int version_ = 0;
  std::string missing_;
  std::atomic<int> ending_{0};
};

/// "2.28.9".
std::string version_words(int version);

/// As Library::load.
std::shared_ptr<Library> load(const std::string& named);
/// Why it cannot be used, in one line; empty when it can. For `trireme doctor`.
std::string why_not(const std::string& named);
/// As NCCL counts: 22809 is 2.28.9; 0 when there is none, or none that can be used.
int version(const std::string& named);

}  // namespace trireme::engines::nccl
