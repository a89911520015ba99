// SPDX-License-Identifier: Apache-2.0
#include "layout/conversion_path.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <queue>
#include <tuple>

namespace trireme::layout {
namespace {

constexpr std::size_t choices = 3;  // of each axis: from, to, replicated
enum Choice : std::size_t { as_from, as_to, whole };

/// Placements of all axes, each one of its choices; as a number, in digits of base 3.
class Search {
 public:
  Search(const TensorLayout& from, const TensorLayout& to) : from_(from), to_(to) {
    for (std::size_t a = 0; a < axes(); ++a) {
      options_.push_back({from.placements()[a], to.placements()[a], Placement::replicated()});
    }
  }

  std::vector<Move> run() const {
    std::size_t states = 1;
    for (std::size_t a = 0; a < axes(); ++a) states *= choices;
    std::vector<Reached> reached(states);
    using Entry = std::tuple<std::size_t, std::size_t, std::size_t>;  // sent, steps, state
    std::priority_queue<Entry, std::vector<Entry>, std::greater<>> open;
    const std::size_t first = canonical(0), last = canonical((states - 1) / 2);  // all digits 0; all digits 1
    reached[first] = {.known = true};
    open.emplace(0, 0, first);
    while (!open.empty()) {
      const auto [sent, steps, state] = open.top();
      open.pop();
      if (state == last) break;
      if (std::tie(sent, steps) > std::tie(reached[state].sent, reached[state].steps)) continue;
      for (std::size_t axis = 0; axis < axes(); ++axis) {
        for (const std::size_t choice : {as_to, whole}) {
          const std::size_t next = canonical(with(state, axis, choice));
          if (next == state || !allowed(state, axis, next)) continue;
          const std::size_t next_sent = sent + cost(state, axis, next), next_steps = steps + 1;
          auto& there = reached[next];
          if (there.known && std::tie(there.sent, there.steps) <= std::tie(next_sent, next_steps)) continue;
          there = {true, next_sent, next_steps, state, axis};
          open.emplace(next_sent, next_steps, next);
        }
      }
    }
    std::vector<Move> path;
    for (std::size_t state = last; state != first; state = reached[state].before) {
      path.push_back({reached[state].axis, placement(state, reached[state].axis)});
    }
    std::reverse(path.begin(), path.end());
    return path;
  }

 private:
  struct Reached {
    bool known = false;
    std::size_t sent = 0;
    std::size_t steps = 0;
    std::size_t before = 0;
    std::size_t axis = 0;
  };

  std::size_t axes() const { return from_.placements().size(); }
  static std::size_t weight(std::size_t axis) {
    std::size_t weight = 1;
    for (; axis > 0; --axis) weight *= choices;
    return weight;
  }
  static std::size_t digit(std::size_t state, std::size_t axis) { return state / weight(axis) % choices; }
  static std::size_t with(std::size_t state, std::size_t axis, std::size_t choice) {
    return state - digit(state, axis) * weight(axis) + choice * weight(axis);
  }
  const Placement& placement(std::size_t state, std::size_t axis) const { return options_[axis][digit(state, axis)]; }
  int size(std::size_t axis) const { return from_.mesh().axes()[axis].size; }

  /// Equal placements under one number: the lowest digit.
  std::size_t canonical(std::size_t state) const {
    for (std::size_t a = 0; a < axes(); ++a) {
      for (std::size_t choice = 0; choice < digit(state, a); ++choice) {
        if (options_[a][choice] == placement(state, a)) state = with(state, a, choice);
      }
    }
    return state;
  }

  static bool cuts(const Placement& placement) {
    return placement.kind == PlacementKind::sharded || placement.kind == PlacementKind::flat;
  }
  static bool cuts_dimension(const Placement& placement, std::size_t dimension) {
    return placement.kind == PlacementKind::flat ||
           (placement.kind == PlacementKind::sharded && placement.dimension == dimension);
  }

  /// Whether `axis` may go from its placement in `state` to that in `next` while the others stay.
  bool allowed(std::size_t state, std::size_t axis, std::size_t next) const {
    const Placement& before = placement(state, axis);
    const Placement& after = placement(next, axis);
    for (std::size_t inner = axis + 1; inner < axes(); ++inner) {
      const Placement& other = placement(state, inner);
      if (other.kind == PlacementKind::sharded) {
        if (after.kind == PlacementKind::flat) return false;  // no layout
        if (size(axis) == 1 || size(inner) == 1) continue;
        if (cuts_dimension(before, other.dimension) || cuts_dimension(after, other.dimension)) return false;
      } else if (other.kind == PlacementKind::flat) {
        if (size(axis) > 1 && size(inner) > 1 && (cuts(before) || cuts(after))) return false;
      } else if (other.kind == PlacementKind::partial && before.kind == PlacementKind::partial) {
        if (to_.placements()[inner].kind != PlacementKind::partial)
          return false;  // sums are nested, the last axis first
      }
    }
    for (std::size_t outer = 0; outer < axis; ++outer) {
      if (after.kind == PlacementKind::sharded && placement(state, outer).kind == PlacementKind::flat) return false;
    }
    return true;
  }

  TensorLayout layout_of(std::size_t state) const {
    std::vector<Placement> placements;
    for (std::size_t a = 0; a < axes(); ++a) placements.push_back(placement(state, a));
    return {from_.tensor(), from_.shape(), from_.mesh(), std::move(placements)};
  }

  /// Elements that a rank of the first group along `axis` sends at most, as if pieces were equal.
  std::size_t cost(std::size_t state, std::size_t axis, std::size_t next) const {
    const auto ranks = static_cast<std::size_t>(size(axis));
    const auto before = placement(state, axis).kind, after = placement(next, axis).kind;
    if (ranks == 1 || before == PlacementKind::replicated || after == PlacementKind::partial) return 0;
    const auto layout = layout_of(state);
    std::size_t held = 0;
    const std::array<std::size_t, 1> along{axis};
    for (const int rank : from_.mesh().group(0, along)) held = std::max(held, layout.local_count(rank));
    if (before == PlacementKind::partial) {
      const std::size_t scattered = held - held / ranks;
      return after == PlacementKind::replicated ? 2 * scattered : scattered;
    }
    return after == PlacementKind::replicated ? (ranks - 1) * held : held - held / ranks;
  }

  const TensorLayout& from_;
  const TensorLayout& to_;
  std::vector<std::array<Placement, choices>> options_;
};

}  // namespace

std::vector<Move> cheapest_path(const TensorLayout& from, const TensorLayout& to) { return Search(from, to).run(); }

}  // namespace trireme::layout
