// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/layout/interval.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace trireme::layout {

/// Appends a range behind those there are; one that begins where the last ends makes it longer. An empty one is dropped.
inline void append(std::vector<Interval>& ranges, Interval range) {
  if (range.size() == 0) return;
  if (!ranges.empty() && ranges.back().end == range.begin) {
    ranges.back().end = range.end;
  } else {
    ranges.push_back(range);
  }
}

inline std::size_t total_size(std::span<const Interval> ranges) {
  std::size_t size = 0;
  for (const Interval range : ranges) size += range.size();
  return size;
}

/// The elements of a row-major tensor of `shape` whose index along each dimension d lies in runs[d] (ascending, not
/// touching), of these the ones counted `part`, in order: as ranges.
std::vector<Interval> box_ranges(std::span<const std::size_t> shape, std::span<const std::vector<Interval>> runs,
                                 Interval part);

/// Positions `part` of what `runs` list.
std::vector<Interval> part_of(std::span<const Interval> runs, Interval part);

}  // namespace trireme::layout
