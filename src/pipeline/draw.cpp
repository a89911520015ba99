// SPDX-License-Identifier: Apache-2.0
#include "trireme/base/error.hpp"
#include "trireme/pipeline/simulate.hpp"

#include <algorithm>
#include <cstddef>

namespace trireme::pipeline {
namespace {

__extension__ using WideTicks = __int128;

/// The action's label, at most `width` characters, and what shows that it lasts.
std::string cell(const Action& action, bool lower, std::size_t width) {
  std::string text = to_string(action);
  text.erase(0, text.find_first_not_of("0123456789"));
  if (lower) text.front() = static_cast<char>(text.front() - 'A' + 'a');
  text.resize(width, '-');
  return text;
}

}  // namespace

std::string draw(const Schedule& schedule, const Simulation& simulation, int columns) {
  if (columns < 1) fail(ErrorCode::invalid_argument, "a picture of " + std::to_string(columns) + " columns");
  if (simulation.spans.size() != schedule.ranks.size())
    fail(ErrorCode::invalid_argument, "a picture of a schedule needs the simulation of the same schedule");
  std::int64_t last = 1;
  for (const auto& spans : simulation.spans) last = std::max(last, spans.empty() ? 0 : spans.back().end);
  const auto column = [&](std::int64_t tick) { return static_cast<std::size_t>(WideTicks{tick} * columns / last); };
  std::string picture;
  for (std::size_t rank = 0; rank < schedule.ranks.size(); ++rank) {
    std::vector<int> stages;
    for (const Action& action : schedule.ranks[rank]) {
      if (std::find(stages.begin(), stages.end(), action.stage) == stages.end()) stages.push_back(action.stage);
    }
    std::sort(stages.begin(), stages.end());
    std::string line(static_cast<std::size_t>(columns), '.');
    for (std::size_t i = 0; i < schedule.ranks[rank].size(); ++i) {
      const Action& action = schedule.ranks[rank][i];
      const std::size_t begin = column(simulation.spans[rank][i].begin);
      const std::size_t width = column(simulation.spans[rank][i].end) - begin;
      const auto place = std::find(stages.begin(), stages.end(), action.stage) - stages.begin();
      line.replace(begin, width, cell(action, place % 2 == 1, width));
    }
    picture += "rank " + std::to_string(rank) + " |" + line + "|\n";
  }
  return picture;
}

}  // namespace trireme::pipeline
