// SPDX-License-Identifier: Apache-2.0
#include "cli/run/outcome.hpp"

#include <algorithm>

namespace trireme::cli {
namespace {

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

}  // namespace

Outcome judge(const std::vector<RankEnd>& ends, const std::optional<rendezvous::Cause>& verdict) {
  auto own_failure = [](const RankEnd& end) { return !end.status.success() && !end.by_launcher; };
  auto first = std::find_if(ends.begin(), ends.end(), own_failure);
  if (first == ends.end()) return {};

  auto culprit = first;
  bool verdict_failed = false;
  if (verdict) {
    auto named = std::find_if(ends.begin(), ends.end(),
                              [&](const RankEnd& end) { return end.rank == verdict->member && own_failure(end); });
    verdict_failed = named != ends.end();
    if (verdict_failed) culprit = named;
  }

  std::string line = "trireme run: ";
  // The rank at fault is another than the one whose exit code counts: a stopped rank that had to be killed.
  if (verdict && !verdict_failed) line += one_line(verdict->message) + "; ";
  line += "rank " + std::to_string(culprit->rank) + " " + culprit->status.sentence();
  if (verdict_failed && !verdict->operation_name.empty()) line += " in " + one_line(verdict->operation_name);
  bool others = std::any_of(ends.begin(), ends.end(),
                            [&](const RankEnd& end) { return end.rank != culprit->rank && !end.status.success(); });
  if (others) line += "; the other ranks were ended";
  return {culprit->status.shell_code(), line};
}

}  // namespace trireme::cli
