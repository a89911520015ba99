// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/failure_note.hpp"
#include "cli/run/child.hpp"
#include "cli/run/console.hpp"
#include "cli/run/guard.hpp"
#include "cli/run/job_facts.hpp"
#include "cli/run/nodes.hpp"
#include "cli/run/options.hpp"
#include "cli/run/outcome.hpp"
#include "cli/run/rank_environment.hpp"
#include "cli/run/rank_output.hpp"
#include "cli/run/signals.hpp"
#include "trireme/rendezvous/server.hpp"

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace trireme::cli {

/// The life of one job on this host: starts the ranks, carries their output and the launcher's signals, ends the rest
/// when one fails, says how it went. Of several hosts each has one; the journal of Nodes brings them to the same end.
/// Threads: one; it sleeps in poll(2).
class Launcher {
 public:
  struct Surroundings {
    const SignalWatch& watch;
    Guard& guard;
    Console& console;
    rendezvous::Server* server;  ///< of the ranks; null on all hosts but that of node 0
    Nodes* nodes;                ///< null for a job of one host
  };
  Launcher(const RunOptions& options, Surroundings surroundings) : options_(options), around_(surroundings) {}
  Launcher(const Launcher&) = delete;
  /// Kills and reaps what is left.
  ~Launcher();

  /// The rendezvous of the ranks, where it is this launcher that serves it.
  void serve(rendezvous::Server* server) { around_.server = server; }
  /// Starts all ranks of `job` on this host. What could not be started is said by a line and a non-zero exit code.
  Outcome start(const std::string& program_path, const platform::Environment& environment, const Job& job);
  /// Returns when every rank has ended, on other hosts too, and all output is written.
  Outcome wait(SignalWatch& signals);

 private:
  using Clock = std::chrono::steady_clock;
  enum class Part : unsigned char { rank, evaluator, server };
  struct Rank {
    int rank;       ///< of the job; of an evaluator or server its own number
    pid_t process;  ///< also its group
    Part part;
    bool ended;
    RankOutput out;
    RankOutput err;
  };
  enum class Ending : unsigned char { not_begun, asked, killed };

  bool is_over() const;
  bool is_over_elsewhere() const;
  /// Starts a process that is no rank. What is wrong, or 0.
  int start_beside(Part part, int number);
  /// What the ranks of this host are waited for: true once they have ended and their output is shown.
  bool is_over_here() const { return everything_ended() && (output_ended() || output_abandoned_); }
  void sleep(int signal_descriptor);
  int milliseconds_to_next_event() const;
  /// Forwards what has arrived; true when a child may have ended.
  bool take_signals(SignalWatch& signals);
  void take_output();
  void reap();
  bool reap(Rank& rank, ExitStatus& status);
  /// A rank of any host has ended.
  void note(const RankEnd& end);
  void note_evaluator(const Rank& evaluator, const ExitStatus& status);
  void note_server(const Rank& server, const ExitStatus& status);
  bool goes_on_without(const RankEnd& end);
  void stop_noted(int signal);
  void stop_elsewhere(int signal);
  void take_news();
  void take(const NodeEvent& event);
  void take_loss(const Nodes::Loss& loss);
  void tell_progress();
  void tell(NodeEvent event);
  void say(const std::string& line);
  int node_of(int rank) const;
  std::string host_of(int rank) const;
  bool is_interruption(const ExitStatus& status) const;
  std::optional<Clock::time_point> end_of_patience() const;
  std::optional<Clock::time_point> end_of_waiting() const;
  void end_survivors();
  void end_the_rest();
  void signal_live(int signal);
  bool is_waiting_for_evaluators() const;
  bool all_ended() const;         ///< the ranks of this host
  bool everything_ended() const;  ///< and who stands beside them
  bool output_ended() const;
  Outcome outcome();
  Outcome judged() const;
  Outcome judged_rest() const;
  std::string last_words_of(int rank) const;

  const RunOptions& options_;
  Surroundings around_;
  std::string program_path_;
  platform::Environment environment_;  ///< what processes inherit
  std::optional<Job> job_;
  JobFacts facts_;
  std::optional<Redactor> redact_;
  std::vector<int> bases_;                        ///< first rank of each host, and the number of ranks
  std::vector<Rank> ranks_;                       ///< of this host, and the evaluators and servers
  std::vector<RankEnd> ends_;                     ///< of all hosts
  std::optional<Clock::time_point> failed_;       ///< when the first rank failed
  std::optional<Clock::time_point> interrupted_;  ///< when the first rank ended as one that was interrupted
  std::optional<Clock::time_point> asked_;        ///< when the survivors got SIGTERM
  std::optional<Clock::time_point> ended_;        ///< when the last rank of this host ended
  Ending ending_ = Ending::not_begun;
  std::optional<Clock::time_point> stop_forwarded_;  ///< the first one, on whatever host
  std::optional<int> interrupted_by_;                ///< the stop signal that came while no rank had failed
  int interrupts_ = 0;
  bool killed_by_user_ = false;
  bool output_abandoned_ = false;                ///< a stop signal came when nothing but output was left
  std::optional<Clock::time_point> rest_asked_;  ///< when evaluators and servers got SIGTERM: the ranks have ended
  bool rest_killed_ = false;
  int server_restarts_ = 0;  ///< so far
  struct LostServer {
    int server;
    ExitStatus status;
    std::string last_words;
  };
  std::optional<LostServer> lost_server_;  ///< nobody had what it held: the job's end
  std::vector<RankEnd> left_behind_;       ///< failed ranks without which the others went on
  // Several hosts.
  bool told_done_ = false;
  std::set<int> done_;                  ///< nodes whose ranks have ended
  bool forwarded_for_another_ = false;  ///< a stop signal of another host: the first one of this host asks for the same
  std::optional<Nodes::Loss> loss_;
  bool loss_is_cause_ = false;
  std::optional<Outcome> decided_;         ///< by node 0
  std::map<int, std::string> last_words_;  ///< of failed ranks elsewhere
};

}  // namespace trireme::cli
