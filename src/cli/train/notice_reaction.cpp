// SPDX-License-Identifier: Apache-2.0
#include "cli/train/notice_reaction.hpp"

#include <algorithm>

namespace trireme::cli {
namespace {

std::string seconds_until(NoticeReaction::Clock::time_point moment, NoticeReaction::Clock::time_point now) {
  const auto left = std::chrono::round<std::chrono::seconds>(moment - now);
  return std::to_string(std::max<std::int64_t>(left.count(), 0)) + " s";
}

}  // namespace

std::chrono::nanoseconds stop_margin(std::chrono::nanoseconds notice, double save_seconds) {
  constexpr double most_seconds = 1e6;
  const std::chrono::duration<double> wanted(2.0 * std::clamp(save_seconds, 0.0, most_seconds) + 5.0);
  return std::min(std::chrono::duration_cast<std::chrono::nanoseconds>(wanted), notice / 2);
}

std::string NoticeReaction::named(const interruption::Notice& notice) const {
  return notice.source + " (" + notice.what + ", host " + host_ + ")";
}

void NoticeReaction::begin(const interruption::Notice& notice, Clock::time_point now, Action& action) {
  standing_ = Standing{.notice = notice, .first_seen = now};
  action.checkpoint = keeps_checkpoints_;
  action.lines.push_back(
      "an interruption in " + seconds_until(notice.deadline, now) + " is announced by " + named(notice) + ": " +
      (keeps_checkpoints_
           ? "a checkpoint is written now, and training goes on until there is just time for another, unless "
             "the announcement is withdrawn"
           : "warning: without --checkpoint-dir all that was trained will be lost; the job stops shortly "
             "before, unless the announcement is withdrawn"));
}

NoticeReaction::Action NoticeReaction::look(const std::optional<interruption::Notice>& notice, Clock::time_point now,
                                            double save_seconds) {
  Action action;
  const bool is_other =
      standing_ && notice && (standing_->notice.source != notice->source || standing_->notice.what != notice->what);
  if (standing_ && !notice) {
    if (!standing_->has_stopped)
      action.lines.push_back("the interruption announced by " + named(standing_->notice) +
                             " is withdrawn: training goes on");
    standing_.reset();
  }
  if (notice && (!standing_ || is_other)) {
    begin(*notice, now, action);
  } else if (notice) {
    standing_->notice.deadline = notice->deadline;
  }
  if (!standing_ || standing_->has_stopped) return action;
  const auto deadline = standing_->notice.deadline;
  const auto length = std::max(deadline - standing_->first_seen, Clock::duration::zero());
  if (now < deadline - stop_margin(length, save_seconds)) return action;
  standing_->has_stopped = action.stop = true;
  action.lines.push_back("stops in order, " + seconds_until(deadline, now) + " before the interruption announced by " +
                         named(standing_->notice));
  return action;
}

}  // namespace trireme::cli
