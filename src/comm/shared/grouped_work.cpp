// SPDX-License-Identifier: Apache-2.0
#include "comm/shared/grouped_work.hpp"

#include "kernels/float_environment.hpp"

#include <algorithm>
#include <cstring>

namespace trireme::comm::shared {
namespace {

/// Combined or read at a time: still in the first-level cache when it is written to the other ranks.
constexpr std::size_t grouped_tile_bytes = 8 * 1024;

template <class Each>
void for_tiles(layout::Interval range, std::size_t element, Each each) {
  const std::size_t tile = std::max<std::size_t>(grouped_tile_bytes / element, 1);
  for (std::size_t begin = range.begin; begin < range.end; begin += tile)
    each(begin, std::min(tile, range.end - begin));
}

ReduceKind added_as(const Request& request) {
  return request.op.kind == ReduceKind::average ? ReduceKind::sum : request.op.kind;
}

}  // namespace

const std::optional<TwoLevels>& GroupedWork::levels_of(int leaves) {
  for (const auto& each : known_) {
    if (each.leaves == leaves) return each.levels;
  }
  const auto tree = layout::ReductionTree::contracted(leaves, static_cast<int>(groups_.count * groups_.size));
  known_.push_back({leaves, two_levels(tree, groups_, rank_ / groups_.size)});
  return known_.back().levels;
}

void GroupedWork::reduce(const Request& request, std::span<const Sight> sights, std::size_t count) {
  const kernels::FloatEnvironment environment;
  const DType type = request.output.dtype;
  const auto reach = reduce_reach(groups_, rank_, count, size_of(type));
  const std::size_t offset = reach.range.begin * size_of(type);
  for (std::size_t i = 0; i < reach.from.count; ++i) sources_[i] = {sights[reach.from[i]].input + offset, type};
  kernels::reduce({.kind = added_as(request),
                   .accumulator = type,
                   .destination = sights[rank_].output + offset,
                   .output = type,
                   .count = reach.range.size(),
                   .sources = std::span(sources_).first(reach.from.count),
                   .program = levels_of(request.leaves)->within});
}

void GroupedWork::combine(const Request& request, std::span<const Sight> sights, std::size_t count, double divisor) {
  const kernels::FloatEnvironment environment;
  const DType type = request.output.dtype;
  const std::size_t element = size_of(type);
  const auto reach = combine_reach(groups_, rank_, count, element);
  for_tiles(reach.range, element, [&](std::size_t begin, std::size_t n) {
    for (std::size_t i = 0; i < reach.from.count; ++i)
      sources_[i] = {sights[reach.from[i]].output + begin * element, type};
    // All partials of these elements are read before the first of them is overwritten.
    std::byte* mine = sights[rank_].output + begin * element;
    kernels::reduce({.kind = added_as(request),
                     .accumulator = type,
                     .destination = mine,
                     .output = type,
                     .count = n,
                     .sources = std::span(sources_).first(reach.from.count),
                     .program = levels_of(request.leaves)->across,
                     .divisor = divisor});
    for (std::size_t i = 0; i < reach.to.count; ++i) {
      if (reach.to[i] != rank_) std::memcpy(sights[reach.to[i]].output + begin * element, mine, n * element);
    }
  });
}

void GroupedWork::spread(const Request& request, std::span<const Sight> sights, std::size_t count) {
  const std::size_t element = size_of(request.output.dtype);
  const auto reach = spread_reach(groups_, rank_, count, element);
  for_tiles(reach.range, element, [&](std::size_t begin, std::size_t n) {
    const std::byte* mine = sights[rank_].output + begin * element;
    for (std::size_t i = 0; i < reach.to.count; ++i) {
      if (reach.to[i] != rank_) std::memcpy(sights[reach.to[i]].output + begin * element, mine, n * element);
    }
  });
}

}  // namespace trireme::comm::shared
