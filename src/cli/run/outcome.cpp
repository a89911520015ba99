// SPDX-License-Identifier: Apache-2.0
#include "cli/run/outcome.hpp"

#include <algorithm>
#include <csignal>

namespace trireme::cli {
namespace {

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

}  // namespace

std::string signal_name(int signal) {
  return signal == SIGINT    ? "SIGINT"
         : signal == SIGTERM ? "SIGTERM"
         : signal == SIGHUP  ? "SIGHUP"
                             : "signal " + std::to_string(signal);
}

Outcome judge(const std::vector<RankEnd>& ends, const std::optional<rendezvous::Cause>& verdict,
              std::optional<int> spokesman, int interrupted_code) {
  auto own_failure = [](const RankEnd& end) { return end.failed() && !end.by_launcher; };
  auto first = std::find_if(ends.begin(), ends.end(), [&](const RankEnd& end) {
    return own_failure(end) && !end.status.interrupted(interrupted_code);
  });
  if (first == ends.end()) {
    if (std::none_of(ends.begin(), ends.end(), own_failure)) return {};
    const bool ended = std::any_of(ends.begin(), ends.end(), [](const RankEnd& end) { return end.by_launcher; });
    return {interrupted_code,
            std::string("trireme run: interrupted") + (ended ? "; ranks that did not end in time were ended" : ""),
            !ended};
  }
  auto own_failure_of = [&](std::optional<int> rank) {
    return std::find_if(ends.begin(), ends.end(),
                        [&](const RankEnd& end) { return end.rank == rank && own_failure(end); });
  };

  std::string line = "trireme run: ";
  auto culprit = first;
  if (verdict) {
    auto named = own_failure_of(verdict->member);
    if (named != ends.end()) culprit = named;
    // How a process ended, the launcher knows best; what else went wrong, only the ranks do.
    const bool is_death = named != ends.end() && verdict->code == ErrorCode::peer_lost && !named->left_world_open;
    if (is_death) {
      line += named->who() + " " + named->status.sentence();
      if (!verdict->operation_name.empty()) line += " during " + one_line(verdict->operation_name);
    } else {
      line += one_line(verdict->message);
      // The rank at fault is another than the one whose exit code counts: a stopped rank that had to be killed.
      if (named == ends.end() && verdict->member >= 0) line += "; " + first->who() + " " + first->status.sentence();
    }
  } else {
    auto speaker = own_failure_of(spokesman);
    if (speaker != ends.end() && speaker->status.shell_code() == first->status.shell_code()) culprit = speaker;
    line += culprit->who() + " ";
    line += culprit->left_world_open ? "exited with code 0 without closing its world" : culprit->status.sentence();
  }

  auto other = [&](const RankEnd& end) { return end.rank != culprit->rank && end.failed(); };
  if (std::any_of(ends.begin(), ends.end(), [&](const RankEnd& end) { return other(end) && end.by_launcher; })) {
    line += "; the other ranks were ended";
  } else if (std::any_of(ends.begin(), ends.end(), other)) {
    line += "; the other ranks failed with it";
  }
  return {std::max(culprit->status.shell_code(), 1), line, false, culprit->rank};
}

Outcome judge_without(const std::vector<RankEnd>& lost, const Outcome& rest) {
  std::string who;
  for (std::size_t i = 0; i < lost.size(); ++i)
    who += (i == 0                 ? ""
            : i + 1 == lost.size() ? ", and "
                                   : ", ") +
           lost[i].who() + ", which " + lost[i].status.sentence();
  if (rest.exit_code == 0) return {.exit_code = 0, .line = "trireme run: the job is complete without " + who};
  Outcome result = rest;
  result.line += "; it was without " + who;
  return result;
}

Outcome judge_interrupted(const std::vector<RankEnd>& ends, int signal, int interrupted_code) {
  const std::string line = "trireme run: interrupted by " + signal_name(signal);
  if (std::any_of(ends.begin(), ends.end(),
                  [](const RankEnd& end) { return end.by_launcher && end.status.signal == SIGKILL; }))
    return {128 + signal, line + "; ranks that did not end in time were killed"};
  const auto failed = [](const RankEnd& end) { return end.failed(); };
  const auto first = std::find_if(ends.begin(), ends.end(), failed);
  const bool agree = std::all_of(ends.begin(), ends.end(), [&](const RankEnd& end) {
    return !end.failed() || (end.status.signal == 0 && end.status.code == first->status.code);
  });
  const int code = first->status.code;
  if (!agree || code == 0) return {128 + signal, line, true};
  if (code == interrupted_code || code == 128 + signal) return {code, line, true};
  return {code, line + "; the ranks ended with exit code " + std::to_string(code), false, first->rank};
}

}  // namespace trireme::cli
