// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/interruption/watch.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace trireme::cli {

/// What a job does about the announcement that a host will be taken away: a checkpoint at once, while training goes on; an orderly
/// stop as late as leaves time for another checkpoint; nothing more when it is withdrawn before. Pure: the clock is given.
class NoticeReaction {
 public:
  using Clock = std::chrono::steady_clock;
  struct Action {
    bool checkpoint = false;           ///< ask for one now
    bool stop = false;                 ///< ask for the end now
    std::vector<std::string> lines{};  ///< for people
  };

  /// `host`: this one's name. `keeps_checkpoints`: whether there is anything to keep.
  NoticeReaction(std::string host, bool keeps_checkpoints)
      : host_(std::move(host)), keeps_checkpoints_(keeps_checkpoints) {}

  /// `notice`: what stands now. `save_seconds`: what the last checkpoint took, 0 before the first.
  Action look(const std::optional<interruption::Notice>& notice, Clock::time_point now, double save_seconds);

 private:
  struct Standing {
    interruption::Notice notice;
    Clock::time_point first_seen;
    bool has_stopped = false;
  };
  void begin(const interruption::Notice& notice, Clock::time_point now, Action& action);
  std::string named(const interruption::Notice& notice) const;

  std::string host_;
  bool keeps_checkpoints_;
  std::optional<Standing> standing_;
};

/// How long before its deadline a notice ends the job: twice what a checkpoint takes and five seconds, but half of the notice
/// at most.
std::chrono::nanoseconds stop_margin(std::chrono::nanoseconds notice, double save_seconds);

}  // namespace trireme::cli
