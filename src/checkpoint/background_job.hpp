// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/error.hpp"

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

namespace trireme::checkpoint {

/// One thing at a time that is done beside the training loop, by a thread of its own in which all signals are blocked.
/// Threads: one caller. The destructor waits for what is under way.
class BackgroundJob {
 public:
  BackgroundJob() = default;
  BackgroundJob(const BackgroundJob&) = delete;
  BackgroundJob& operator=(const BackgroundJob&) = delete;
  ~BackgroundJob();

  /// Begins; the one before must be over.  Errors: system when no thread can be started.
  void start(std::function<void()> work);
  bool is_over() const;
  /// Returns when it is over, or after `most`: whether it is.
  bool wait(std::chrono::milliseconds most) const;
  /// What it threw, once it is over.
  std::optional<Error> take_error();

 private:
  void serve();

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::function<void()> work_;  // under the mutex; empty: nothing to do
  std::optional<Error> error_;
  bool busy_ = false;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace trireme::checkpoint
