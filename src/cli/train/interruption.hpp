// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/job_signals.hpp"
#include "cli/train/notice_reaction.hpp"
#include "trireme/interruption/watch.hpp"

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace trireme::cli {

/// Lets announced interruptions do what SIGUSR1 and SIGTERM do: a checkpoint at once, the end shortly before the deadline. Of
/// each host one rank has one. A thread of its own looks five times a second, as long as there is anybody to ask; it ends
/// within a moment of the destructor's call.
class Interruption {
 public:
  struct Parts {
    JobSignals& signals;                   ///< outlives this; the loop attends to it
    std::function<double()> save_seconds;  ///< what the last checkpoint took; called by the thread
    std::function<void(const std::string&)> say;
  };
  Interruption(std::unique_ptr<interruption::Watch> watch, NoticeReaction reaction, Parts parts);
  Interruption(const Interruption&) = delete;
  ~Interruption();

 private:
  void look_until_stopped();
  void look();

  std::unique_ptr<interruption::Watch> watch_;
  NoticeReaction reaction_;
  Parts parts_;
  std::mutex mutex_;
  std::condition_variable stopped_;
  bool is_stopped_ = false;  // under the mutex
  std::thread thread_;
};

}  // namespace trireme::cli
