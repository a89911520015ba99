// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/exact_inputs.hpp"
#include "trireme/layout/tensor_layout.hpp"

#include <cstdint>
#include <vector>

namespace trireme::layout::testing {

/// The same numbers on every machine.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}
  /// 0 … sides-1
  std::size_t roll(std::size_t sides) { return trireme::testing::mix(state_++) % sides; }

 private:
  std::uint64_t state_;
};

/// Every way in which one axis can share a tensor of `shape`, segments of unequal sizes and blocks of 3 among them.
inline std::vector<Placement> all_placements(const std::vector<std::int64_t>& shape) {
  std::vector<Placement> all{Placement::replicated(), Placement::partial(), Placement::flat(1), Placement::flat(3)};
  for (std::size_t d = 0; d < shape.size(); ++d) {
    const auto extent = static_cast<std::size_t>(shape[d]);
    all.push_back(Placement::sharded(d));
    all.push_back(Placement::sharded(d, {extent / 2, extent / 4, extent - extent / 2 - extent / 4}));
  }
  return all;
}

/// One for each axis, such that they are a layout.
inline std::vector<Placement> some_placements(const std::vector<std::int64_t>& shape, std::size_t axes, Dice& dice) {
  const auto all = all_placements(shape);
  std::vector<Placement> chosen;
  bool flat = false;
  while (chosen.size() < axes) {
    const auto& placement = all[dice.roll(all.size())];
    if (flat && placement.kind == PlacementKind::sharded) continue;
    flat |= placement.kind == PlacementKind::flat;
    chosen.push_back(placement);
  }
  return chosen;
}

inline std::vector<std::int64_t> some_shape(Dice& dice) {
  std::vector<std::int64_t> shape(dice.roll(4));
  for (auto& extent : shape) extent = static_cast<std::int64_t>(dice.roll(20) == 0 ? 0 : 1 + dice.roll(8));
  return shape;
}

inline std::int64_t logical_value(std::size_t element) {
  return static_cast<std::int64_t>(trireme::testing::mix(element) % 1000003);
}

/// What `rank` holds of `element`: its value, or a summand of it. Summands are arbitrary, but the last one makes them up to
/// the value.
inline std::int64_t held_value(const TensorLayout& layout, int rank, std::size_t element) {
  std::size_t index = 0, summands = 1;  // which one is this rank's, and of how many
  const auto place = layout.mesh().coordinates(rank);
  for (std::size_t a = 0; a < place.size(); ++a) {
    if (layout.placements()[a].kind != PlacementKind::partial) continue;
    const auto size = static_cast<std::size_t>(layout.mesh().axes()[a].size);
    index = index * size + static_cast<std::size_t>(place[a]);
    summands *= size;
  }
  const auto summand = [&](std::size_t i) { return logical_value(element * 31 + i + 1) - 500000; };
  if (index + 1 < summands) return summand(index);
  std::int64_t value = logical_value(element);
  for (std::size_t i = 0; i + 1 < summands; ++i) value -= summand(i);
  return value;
}

}  // namespace trireme::layout::testing
