// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "comm/shared/grouped_stages.hpp"
#include "comm/shared/grouped_work.hpp"

#include <cstddef>
#include <memory>

namespace trireme::comm::shared {

/// What a tier holds for all_reduces by groups.
struct Grouped {
  Grouped(Groups groups, std::size_t rank, std::size_t least_bytes) : work(groups, rank), from_bytes(least_bytes) {}

  /// Whether such an operation goes by groups, if all memory is in the arena: the same on all ranks.
  bool takes(const Request& request) {
    return request.collective == plan::Collective::all_reduce && request.output.size_bytes() >= from_bytes &&
           keeps_partials(request) && work.fits(request.leaves);
  }
  /// Whether rank `r` has not yet done what this one waits for in `operation`.
  bool lacks(std::size_t r, const Cell& cell, std::uint64_t operation, const GroupedStages& stages) const noexcept;

  GroupedWork work;
  std::size_t from_bytes;
  std::unique_ptr<GroupedFlags<MachineAtomics>> flags{};  ///< once the peers are found
};

}  // namespace trireme::comm::shared
