// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/run/child.hpp"
#include "cli/run/console.hpp"
#include "cli/run/guard.hpp"
#include "cli/run/options.hpp"
#include "cli/run/outcome.hpp"
#include "cli/run/rank_environment.hpp"
#include "cli/run/rank_output.hpp"
#include "cli/run/signals.hpp"
#include "trireme/rendezvous/server.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace trireme::cli {

/// The life of one job on this host: starts the ranks, carries their output and the launcher's signals, ends the rest
/// when one fails, says how it went.
/// Threads: one; it sleeps in poll(2).
class Launcher {
 public:
  struct Surroundings {
    const SignalWatch& watch;
    Guard& guard;
    rendezvous::Server& server;
    Console& console;
  };
  Launcher(const RunOptions& options, Surroundings surroundings) : options_(options), around_(surroundings) {}
  Launcher(const Launcher&) = delete;
  /// Kills and reaps what is left.
  ~Launcher();

  /// Starts all ranks of `job`. What could not be started is said by a line and a non-zero exit code.
  Outcome start(const std::string& program_path, const platform::Environment& environment, const Job& job);
  /// Returns when every rank has ended and all output is written; the exit code.
  int wait(SignalWatch& signals);

 private:
  using Clock = std::chrono::steady_clock;
  struct Rank {
    int rank;
    pid_t process;  ///< also its group
    bool ended;
    RankOutput out;
    RankOutput err;
  };
  enum class Ending : unsigned char { not_begun, asked, killed };

  void sleep(int signal_descriptor);
  int milliseconds_to_next_event() const;
  /// Forwards what has arrived; true when a child may have ended.
  bool take_signals(SignalWatch& signals);
  void take_output();
  void reap();
  bool reap(Rank& rank, ExitStatus& status);
  bool is_interruption(const ExitStatus& status) const;
  std::optional<Clock::time_point> end_of_patience() const;
  void end_survivors();
  void signal_live(int signal);
  bool all_ended() const { return ends_.size() == ranks_.size(); }
  bool output_ended() const;
  Outcome outcome() const;

  const RunOptions& options_;
  Surroundings around_;
  std::vector<Rank> ranks_;
  std::vector<RankEnd> ends_;
  std::optional<Clock::time_point> failed_;       ///< when the first rank failed
  std::optional<Clock::time_point> interrupted_;  ///< when the first rank ended as one that was interrupted
  std::optional<Clock::time_point> asked_;        ///< when the survivors got SIGTERM
  std::optional<Clock::time_point> ended_;        ///< when the last rank ended
  Ending ending_ = Ending::not_begun;
  std::optional<Clock::time_point> stop_forwarded_;  ///< the first one
  std::optional<int> interrupted_by_;                ///< the stop signal that came while no rank had failed
  int interrupts_ = 0;
  bool killed_by_user_ = false;
  bool output_abandoned_ = false;  ///< a stop signal came when nothing but output was left
};

}  // namespace trireme::cli
