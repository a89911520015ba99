// SPDX-License-Identifier: Apache-2.0
#include "layout/box_ranges.hpp"

#include <algorithm>

namespace trireme::layout {

std::vector<Interval> part_of(std::span<const Interval> runs, Interval part) {
  std::vector<Interval> result;
  std::size_t position = 0;
  for (const Interval run : runs) {
    const std::size_t begin = std::max(position, part.begin);
    const std::size_t end = std::min(position + run.size(), part.end);
    if (begin < end) append(result, {run.begin + (begin - position), run.begin + (end - position)});
    position += run.size();
    if (position >= part.end) break;
  }
  return result;
}

std::vector<Interval> box_ranges(std::span<const std::size_t> shape, std::span<const std::vector<Interval>> runs,
                                 Interval part) {
  std::vector<Interval> result;
  for (const auto& each : runs) {
    if (each.empty()) return result;
  }
  // Dimensions behind the last one that is cut hold together; of the cut one whole runs follow each other.
  std::size_t inner = 1;  // elements of one index of the cut dimension
  std::size_t cut = shape.size();
  while (cut > 0 && total_size(runs[cut - 1]) == shape[cut - 1]) inner *= shape[--cut];
  if (cut == 0) {
    append(result, {std::min(part.begin, inner), std::min(part.end, inner)});
    return result;
  }
  --cut;
  struct Cursor {
    std::size_t run = 0;
    std::size_t index = 0;
  };
  std::vector<Cursor> at(cut);
  for (std::size_t d = 0; d < cut; ++d) at[d].index = runs[d].front().begin;
  std::size_t position = 0;
  while (position < part.end) {
    std::size_t row = 0;
    for (std::size_t d = 0; d < cut; ++d) row = row * shape[d] + at[d].index;
    for (const Interval run : runs[cut]) {
      const std::size_t first = (row * shape[cut] + run.begin) * inner;
      const std::size_t size = run.size() * inner;
      const std::size_t begin = std::clamp(part.begin, position, position + size);
      const std::size_t end = std::clamp(part.end, position, position + size);
      append(result, {first + (begin - position), first + (end - position)});
      position += size;
    }
    std::size_t d = cut;
    for (; d > 0; --d) {
      auto& cursor = at[d - 1];
      const auto& own = runs[d - 1];
      if (++cursor.index < own[cursor.run].end) break;
      if (++cursor.run < own.size()) {
        cursor.index = own[cursor.run].begin;
        break;
      }
      cursor = {0, own.front().begin};
    }
    if (d == 0) break;
  }
  return result;
}

}  // namespace trireme::layout
