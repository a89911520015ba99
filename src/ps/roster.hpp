// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/message.hpp"

#include <cstdint>
#include <map>
#include <mutex>
#include <set>

namespace trireme::ps {

/// Which workers are here: each has a connection to every event loop.
/// Threads: any.
class Roster {
 public:
  void joined(WorkerId worker) {
    std::lock_guard lock(mutex_);
    ++connections_[worker];
  }
  void left(WorkerId worker) {
    std::lock_guard lock(mutex_);
    left_.insert(worker);
  }
  /// A connection of one that had joined has ended.
  void ended(WorkerId worker) {
    std::lock_guard lock(mutex_);
    if (auto entry = connections_.find(worker); entry != connections_.end() && --entry->second == 0)
      connections_.erase(entry);
  }
  std::uint32_t present() const {
    std::lock_guard lock(mutex_);
    std::uint32_t count = 0;
    for (const auto& [worker, connections] : connections_) count += left_.count(worker) == 0;
    return count;
  }
  std::uint32_t have_left() const {
    std::lock_guard lock(mutex_);
    return static_cast<std::uint32_t>(left_.size());
  }

 private:
  mutable std::mutex mutex_;
  std::map<WorkerId, std::uint32_t> connections_;
  std::set<WorkerId> left_;
};

}  // namespace trireme::ps
