// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/plan/graph.hpp"

#include <cstdint>
#include <vector>

namespace trireme::comm {

/// A plan with everything derived from it that executing needs, so that running it is table look-ups. Immutable.
struct ExecutablePlan {
  explicit ExecutablePlan(plan::Plan plan);

  plan::Plan plan;
  std::vector<std::uint32_t> dependencies;     ///< per step: how many it waits for
  std::vector<std::uint32_t> dependent_begin;  ///< per step: its range in `dependents`; one entry more than steps
  std::vector<std::uint32_t> dependents;
  std::vector<std::uint32_t> message;  ///< per send and receive: its ordinal on the edge
  /// Per step: the receives whose bytes a load_reduce reads, one per source (-1: not directly from a receive).
  std::vector<std::vector<std::int32_t>> source_receive;
  /// Per receive: how many load_reduce sources read its slot; a receive all of whose readers are such can be borrowed.
  std::vector<std::uint32_t> readers;
  std::vector<bool> borrowable;
  std::vector<std::size_t> landing;  ///< per recv_reduce: index of its landing area, appended behind the scratch slots
  std::vector<plan::ScratchSlot> slots;  ///< the plan's scratch slots, then the landing areas
};

}  // namespace trireme::comm
