// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/run/descriptor.hpp"
#include "trireme/comm/communicator.hpp"

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <signal.h>

namespace trireme::cli {

/// What signals mean to a training job, while it lives.
///
/// SIGINT, SIGTERM, SIGHUP: from attend() on the first one asks for a stop at the next step (stop_signal()); before it, any has its
/// default action, and so has a SIGINT after it: a second Ctrl-C always ends the program. Another SIGTERM changes nothing.
/// SIGUSR2: the flight recorders go to stderr as one line of JSON, also while an operation hangs: the signals are taken
/// by a thread of their own, never by a handler.
/// SIGUSR1 asks for a checkpoint (take_checkpoint_request()); where none are written, that is said once on stderr.
/// Threads: made and destroyed by the thread that then starts all others, which thereby have these signals blocked.
class JobSignals {
 public:
  /// `keeps_checkpoints`: a stop and SIGUSR1 lead to one.
  explicit JobSignals(bool keeps_checkpoints);
  JobSignals(const JobSignals&) = delete;
  JobSignals& operator=(const JobSignals&) = delete;
  ~JobSignals();

  /// From now on `communicator`'s recorder is one of those to show.
  void watch(Communicator communicator);
  /// The loop looks at stop_signal() from now on.
  void attend() noexcept { attended_.store(true, std::memory_order_relaxed); }
  /// The signal that asked for a stop; 0: none.
  int stop_signal() const noexcept { return stop_signal_.load(std::memory_order_relaxed); }
  /// What SIGTERM and SIGUSR1 do, without a signal: for what else asks for a stop (in the name of `signal`) or a checkpoint.
  void request_stop(int signal) noexcept {
    int none = 0;
    stop_signal_.compare_exchange_strong(none, signal, std::memory_order_relaxed);
  }
  void request_checkpoint() noexcept { checkpoint_requested_.store(true, std::memory_order_relaxed); }
  /// Whether SIGUSR1 came since the last call.
  bool take_checkpoint_request() noexcept { return checkpoint_requested_.exchange(false, std::memory_order_relaxed); }
  /// The recorders of the communicators watched, as Communicator::flight_recorder_json gives them.
  std::vector<std::string> recorders() const;
  /// This process's number in the job, by which recorders go: an independent worker is rank 0 of a world of its own.
  void number(int rank) noexcept { rank_.store(rank, std::memory_order_relaxed); }
  int rank() const noexcept { return rank_.load(std::memory_order_relaxed); }

 private:
  void take() noexcept;
  void end_by(int signal) noexcept;
  void show_recorders() noexcept;
  void answer_checkpoint() noexcept;

  const bool keeps_checkpoints_;
  std::atomic<int> rank_{0};
  sigset_t former_mask_;
  Descriptor signals_;
  Descriptor wake_;
  std::atomic<int> stop_signal_{0};
  std::atomic<bool> attended_{false};
  std::atomic<bool> checkpoint_requested_{false};
  bool answered_checkpoint_ = false;  // the thread's own
  bool has_been_signalled_ = false;   // to stop; the thread's own
  mutable std::mutex mutex_;
  std::vector<Communicator> communicators_;  // under the mutex
  std::thread thread_;
};

}  // namespace trireme::cli
