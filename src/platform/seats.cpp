// SPDX-License-Identifier: Apache-2.0
#include "platform/seats.hpp"

#include <algorithm>
#include <cstddef>

namespace trireme::platform {
namespace {

/// Kuhn's augmenting paths (Naval Research Logistics 2, 1955).
class Seats {
 public:
  explicit Seats(std::span<const ProcessorList> ranks) : ranks_(ranks), taken_by_(most_processors, nobody) {}

  bool find_for(std::size_t rank) {
    asked_.assign(most_processors, false);
    return move_in(rank);
  }

 private:
  static constexpr std::size_t nobody = static_cast<std::size_t>(-1);

  /// A free processor for `rank`, or one whose rank can move to another.
  bool move_in(std::size_t rank) {
    for (const int each : ranks_[rank]) {
      const auto processor = static_cast<std::size_t>(each);
      if (taken_by_[processor] != nobody) continue;
      taken_by_[processor] = rank;
      return true;
    }
    for (const int each : ranks_[rank]) {
      const auto processor = static_cast<std::size_t>(each);
      if (asked_[processor]) continue;
      asked_[processor] = true;
      if (!move_in(taken_by_[processor])) continue;
      taken_by_[processor] = rank;
      return true;
    }
    return false;
  }

  std::span<const ProcessorList> ranks_;
  std::vector<std::size_t> taken_by_;
  std::vector<bool> asked_;
};

}  // namespace

bool each_has_a_processor(std::span<const ProcessorList> ranks, int otherwise) {
  std::vector<bool> named(most_processors, false);
  for (const auto& list : ranks) {
    for (const int each : list) named[static_cast<std::size_t>(each)] = true;
  }
  auto processors = static_cast<std::size_t>(std::count(named.begin(), named.end(), true));
  if (processors == 0) processors = static_cast<std::size_t>(std::max(otherwise, 1));
  if (ranks.size() > processors) return false;  // the usual way of not fitting, told without a search
  Seats seats(ranks);
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    // Who may sit anywhere finds what the others have left: there are enough in all.
    if (!ranks[r].empty() && !seats.find_for(r)) return false;
  }
  return true;
}

}  // namespace trireme::platform
