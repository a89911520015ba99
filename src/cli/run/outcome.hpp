// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/run/exit_status.hpp"
#include "trireme/rendezvous/cause.hpp"

#include <optional>
#include <string>
#include <vector>

namespace trireme::cli {

/// "SIGTERM" of those that ask a job to stop.
std::string signal_name(int signal);

/// How a rank ended.
struct RankEnd {
  int rank = 0;
  ExitStatus status;
  bool by_launcher = false;      ///< after the launcher began to end the ranks: says nothing about the cause
  bool left_world_open = false;  ///< ended with exit code 0 while its World was open: the others counted on it
  std::string host{};            ///< where it ran, in a job of several hosts
  bool failed() const { return !status.success() || left_world_open; }
  /// "rank 2", "rank 2 (algo-2)"
  std::string who() const { return "rank " + std::to_string(rank) + (host.empty() ? "" : " (" + host + ")"); }
};

/// What `trireme run` reports.
struct Outcome {
  int exit_code = 0;
  std::string line{};  ///< one, without a newline; empty when all went well
  bool interrupted =
      false;         ///< the job has stopped in order because it was asked to, or to go on another time: no failure
  int culprit = -1;  ///< the rank whose exit code it is, if it is one's
  std::string last_words{};  ///< what that rank wrote last to stderr
  bool is_shown = false;     ///< `line` has been printed
};

/// The exit code of the first cause: of the rank that `verdict` (what the ranks agreed on) names, if that rank failed
/// by itself; otherwise of the rank that failed first. The line tells what was agreed on; if nothing was, which rank failed
/// first, or of several that ended alike the `spokesman`, whose refusal is the one that the user sees.
/// Ranks that were interrupted (`interrupted_code`) are no cause as long as another failed by itself and nothing was agreed on; when
/// none did, the job was interrupted: that code, and no word of a failure.
/// Order: `ends` as they were seen.
Outcome judge(const std::vector<RankEnd>& ends, const std::optional<rendezvous::Cause>& verdict,
              std::optional<int> spokesman = std::nullopt, int interrupted_code = 143);

/// Of a job whose ranks wait for no other, when none of the rest has failed: `rest` is how they ended, without those that were `lost`. When they
/// have stopped to go on another time, so has the job.
Outcome judge_without(const std::vector<RankEnd>& lost, const Outcome& rest);

/// The same of a job that `signal`, forwarded to the ranks, was to end, and of which some failed: the user knows why. Where the
/// failed ones all ended with one exit code, it is that: they agreed on it, and may have to say that nothing was saved. Else, also
/// when some had to be killed, 128 + signal.
Outcome judge_interrupted(const std::vector<RankEnd>& ends, int signal, int interrupted_code);

}  // namespace trireme::cli
