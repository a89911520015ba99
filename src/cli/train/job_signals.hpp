// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/run/descriptor.hpp"
#include "trireme/comm/communicator.hpp"

#include <atomic>
#include <mutex>
#include <optional>
#include <thread>

#include <signal.h>

namespace trireme::cli {

/// What signals mean to a training job, while it lives.
///
/// SIGINT, SIGTERM: from attend() on the first one asks for a stop at the next step (stop_signal()); any other has its
/// default action, so that a second Ctrl-C always ends the program.
/// SIGUSR2: the flight recorder goes to stderr as one line of JSON, also while an operation hangs: the signals are taken
/// by a thread of their own, never by a handler.
/// Threads: made and destroyed by the thread that then starts all others, which thereby have these signals blocked.
class JobSignals {
 public:
  JobSignals();
  JobSignals(const JobSignals&) = delete;
  JobSignals& operator=(const JobSignals&) = delete;
  ~JobSignals();

  /// The loop looks at stop_signal() from now on, and `communicator`'s recorder is the one to show.
  void attend(Communicator communicator);
  /// The signal that asked for a stop; 0: none.
  int stop_signal() const noexcept { return stop_signal_.load(std::memory_order_relaxed); }

 private:
  void take() noexcept;
  void end_by(int signal) noexcept;
  void show_recorder() noexcept;

  sigset_t former_mask_;
  Descriptor signals_;
  Descriptor wake_;
  std::atomic<int> stop_signal_{0};
  std::mutex mutex_;
  std::optional<Communicator> communicator_;  // under the mutex
  std::thread thread_;
};

}  // namespace trireme::cli
