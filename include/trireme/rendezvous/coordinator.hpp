// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/deadline.hpp"
#include "trireme/rendezvous/cause.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace trireme::rendezvous {

struct Evidence;

/// Decides what every rank will report: a pure state machine without clocks, sockets or threads, run by whoever serves
/// the control channel (the launcher, rank 0, or a hub in one process).
///
/// On the first report or loss it starts collecting for `collection` (200 ms). Reports of timeouts and losses make it ask
/// every member for its status; members that do not answer within the collection (counted from the question, so that
/// everybody has the whole of it) are at fault: stopped or hung processes. If all answer, it follows "waits for" from the
/// reporter until it meets a rank that is not in that operation, and names it. Then it publishes one verdict, once; later
/// events change nothing.
/// Order: the verdict depends on what arrives within the collection, not on the order in which it arrives.
class Coordinator {
 public:
  using Clock = Deadline::Clock;
  struct Options {
    int world_size = 1;
    std::chrono::milliseconds collection{200};
    std::uint64_t epoch = 0;  ///< of causes that no rank has reported
  };
  explicit Coordinator(Options options);
  ~Coordinator();
  Coordinator(const Coordinator&) = delete;
  Coordinator& operator=(const Coordinator&) = delete;

  /// Why `rank` may not join: outside the world, there already, gone. Nothing if it may.
  std::optional<std::string> refusal(int rank) const;
  /// `rank` opened its control channel from `host`. Ignored when refusal(rank).
  void joined(int rank, std::string host);
  /// `rank` left in good order: its silence is no failure.
  void left(int rank);
  /// The channel of `rank` ended without leaving: its process died. `detail` may say how ("killed by signal 9"); of several
  /// details the first that says something counts.
  void lost(int rank, std::string detail, Clock::time_point now);
  /// The channel of `rank` ended because its host no longer answers: lost, but perhaps alive behind a cut.
  void fell_silent(int rank, Clock::time_point now);
  /// The process of `rank`, which was lost, ended with exit code 0: it forgot to leave.
  void exited_well(int rank);
  /// `reporter` failed locally with `cause`.
  void reported(int reporter, Cause cause, Clock::time_point now);
  void answered(const Status& status);

  /// What to do now: members to ask for their status (each is returned once), and the verdict to publish to everybody
  /// (returned once, when the collection is over).
  struct Actions {
    std::vector<int> query;
    std::optional<Cause> publish;
  };
  Actions poll(Clock::time_point now);

  /// When poll() must be called again at the latest (it must be called after every event, too); nothing when only an event
  /// can change anything.
  std::optional<Clock::time_point> next_moment() const;
  const std::optional<Cause>& verdict() const { return verdict_; }
  int world_size() const;
  /// Whether `rank` has ever joined.
  bool has_joined(int rank) const;
  /// True once every rank of the world has joined, whatever became of it since.
  bool everyone_joined() const;

 private:
  void collect(Clock::time_point now, bool ask);
  std::chrono::milliseconds collection_;
  std::unique_ptr<Evidence> evidence_;
  std::optional<Clock::time_point> judging_at_;
  bool ask_ = false;
  bool asked_ = false;
  std::optional<Cause> verdict_;
};

}  // namespace trireme::rendezvous
