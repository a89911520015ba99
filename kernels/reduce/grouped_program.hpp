// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "device/kernel.hpp"

#include <cstdint>
#include <optional>
#include <span>

namespace trireme::kernels {

/// A postfix program over up to 64 sources, each once, as groups of up to eight neighbours: each a whole subtree, the largest
/// of that size. Kernels add a group in registers, then what waits before it as often as the program says: the brackets
/// are the program's.
struct GroupedProgram {
  static constexpr unsigned most_sources = 64;
  static constexpr unsigned most_groups = 16;
  static constexpr unsigned group = 8;
  static constexpr unsigned deepest = 4;  ///< sums of groups that wait

  std::uint8_t groups = 0;
  std::uint8_t size[most_groups] = {};      ///< sources of each
  std::uint8_t combines[most_groups] = {};  ///< how many additions follow it: of the two that have waited least
  /// Per source, from left to right: bit j adds, behind it, the sum that begins with the group's source j, on the left, and the
  /// one that ends here. And which source it is.
  std::uint8_t joins[most_sources] = {};
  std::uint8_t order[most_sources] = {};
};

/// None where the program has more sources, falls into more groups, or lets more of them wait: no tree of
/// layout::ReductionTree over at most 64 sources of equal weight does.
/// Shape: a program as kernels::reduce() takes it.
std::optional<GroupedProgram> grouped(std::span<const std::int16_t> program);

namespace on_device {

/// widen(load(source)) of every source, joined by `add(left, right)` in the program's brackets. The groups are a loop; what is
/// in registers has places known to the compiler, and a group is loaded in whole before the first of it is widened.
template <class Load, class Widen, class Add>
TRIREME_DEVICE auto join_groups(const GroupedProgram& program, const Load& load, const Widen& widen, const Add& add) {
  using Loaded = decltype(load(0u));
  using Value = decltype(widen(load(0u)));
  constexpr unsigned most = GroupedProgram::group;
  Value waiting[GroupedProgram::deepest] = {};  // the latest first
  unsigned first = 0;
  for (unsigned g = 0; g < program.groups; ++g) {
    const unsigned size = program.size[g];
    Loaded loaded[most] = {};
    TRIREME_UNROLL
    for (unsigned k = 0; k < most; ++k) {
      if (k < size) loaded[k] = load(program.order[first + k]);
    }
    Value sums[most];
    TRIREME_UNROLL
    for (unsigned k = 0; k < most; ++k) {
      sums[k] = widen(loaded[k]);
      const unsigned joins = k < size ? program.joins[first + k] : 0u;
      TRIREME_UNROLL
      for (unsigned step = 0; step < k; ++step) {
        const unsigned left = k - 1 - step;
        if ((joins >> left & 1) == 0) continue;
        sums[left] = add(sums[left], sums[k]);
        sums[k] = sums[left];  // the latest value is kept here too, where its place is known
      }
    }
    TRIREME_UNROLL
    for (unsigned d = GroupedProgram::deepest - 1; d > 0; --d) waiting[d] = waiting[d - 1];
    waiting[0] = sums[0];
    for (unsigned c = 0; c < program.combines[g]; ++c) {
      waiting[0] = add(waiting[1], waiting[0]);
      TRIREME_UNROLL
      for (unsigned d = 1; d + 1 < GroupedProgram::deepest; ++d) waiting[d] = waiting[d + 1];
    }
    first += size;
  }
  return waiting[0];
}

}  // namespace on_device
}  // namespace trireme::kernels
