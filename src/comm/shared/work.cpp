// SPDX-License-Identifier: Apache-2.0
#include "comm/shared/work.hpp"

#include "kernels/float_environment.hpp"
#include "trireme/layout/reduction_tree.hpp"

#include <algorithm>
#include <cstring>

namespace trireme::comm::shared {
namespace {

using plan::Collective;

/// Parts of an all_reduce begin at whole cache lines, so that no line has two writers.
constexpr std::size_t line = 64;
/// Combined at a time: the result is still in the first-level cache when it is copied to the other ranks.
constexpr std::size_t tile_bytes = 8 * 1024;

void copy(std::byte* destination, const std::byte* source, std::size_t bytes) {
  if (bytes != 0 && destination != source) std::memcpy(destination, source, bytes);
}

}  // namespace

std::size_t elements_of_block(const Request& request) {
  if (request.uneven) {
    std::size_t largest = 0;
    for (std::size_t r = 0; r < static_cast<std::size_t>(request.ranks); ++r)
      largest = std::max(largest, block_of(request, r).size());
    return largest;
  }
  switch (request.collective) {
    case Collective::all_gather:
    case Collective::gather:
    case Collective::reduce: return request.input.count;
    case Collective::all_to_all: return request.input.count / static_cast<std::size_t>(request.ranks);
    default: return request.output.count;
  }
}

layout::Interval block_of(const Request& request, std::size_t rank) {
  if (request.uneven) return {request.output_blocks[rank], request.output_blocks[rank + 1]};
  const std::size_t count = elements_of_block(request);
  return {rank * count, (rank + 1) * count};
}

layout::Interval part_of_block(const Request& request, std::size_t rank, layout::Interval range) {
  if (!request.uneven) return range;
  const std::size_t size = block_of(request, rank).size();
  return {std::min(range.begin, size), std::min(range.end, size)};
}

layout::Interval part_of(std::size_t count, std::size_t element, std::size_t ranks, std::size_t rank) {
  const std::size_t unit = std::max<std::size_t>(line / element, 1);
  const std::size_t units = (count + unit - 1) / unit;
  const auto edge = [&](std::size_t r) { return std::min(count, layout::multiply_divide(units, r, ranks) * unit); };
  return {edge(rank), edge(rank + 1)};
}

std::span<const std::int16_t> Work::find(int leaves) {
  for (last_ = 0; last_ < programs_.size(); ++last_) {
    if (programs_[last_].leaves == leaves) return programs_[last_].postfix;
  }
  const auto postfix = layout::ReductionTree::contracted(leaves, static_cast<int>(sources_.size()));
  programs_.push_back({leaves, {postfix.postfix().begin(), postfix.postfix().end()}});
  return programs_.back().postfix;
}

void Work::combine(const Request& request, std::byte* destination, std::size_t count, double divisor, std::byte* also) {
  const ReduceKind kind = request.op.kind;
  kernels::reduce({.kind = kind == ReduceKind::average ? ReduceKind::sum : kind,
                   .accumulator = accumulator_of(request.output.dtype),
                   .destination = destination,
                   .output = request.output.dtype,
                   .count = count,
                   .sources = sources_,
                   .program = program(request.leaves),
                   .divisor = divisor,
                   .also = also});
}

void Work::combine_part(const Request& request, std::span<const Sight> sights, std::size_t rank, layout::Interval part,
                        double divisor) {
  const kernels::FloatEnvironment environment;
  const std::size_t in = size_of(request.input.dtype);
  const std::size_t out = size_of(request.output.dtype);
  if (sights.size() == 2) {  // both outputs in one pass
    for (std::size_t r = 0; r < 2; ++r) sources_[r] = {sights[r].input + part.begin * in, request.input.dtype};
    combine(request, sights[rank].output + part.begin * out, part.size(), divisor,
            sights[1 - rank].output + part.begin * out);
    return;
  }
  const std::size_t tile = std::max<std::size_t>(tile_bytes / std::max(in, out), 1);
  for (std::size_t begin = part.begin; begin < part.end; begin += tile) {
    const std::size_t n = std::min(tile, part.end - begin);
    for (std::size_t r = 0; r < sights.size(); ++r) sources_[r] = {sights[r].input + begin * in, request.input.dtype};
    // All contributions to these elements are read before the first of them is overwritten, in place or not.
    std::byte* mine = sights[rank].output + begin * out;
    combine(request, mine, n, divisor);
    for (std::size_t r = 0; r < sights.size(); ++r) {
      if (r != rank) std::memcpy(sights[r].output + begin * out, mine, n * out);
    }
  }
}

void Work::piece(const Request& request, std::span<const Sight> sights, std::size_t rank, layout::Interval range,
                 double divisor, std::byte* own_output) {
  const kernels::FloatEnvironment environment;
  const std::size_t in = size_of(request.input.dtype);
  const std::size_t out = size_of(request.output.dtype);
  const std::size_t count = range.size();
  switch (request.collective) {
    case Collective::all_reduce:
    case Collective::reduce: {
      const auto part = part_of(count, out, sights.size(), rank);
      if (request.collective == Collective::reduce) {
        for (std::size_t r = 0; r < sights.size(); ++r)
          sources_[r] = {sights[r].input + part.begin * in, request.input.dtype};
        combine(request, sights[static_cast<std::size_t>(request.root)].output + part.begin * out, part.size(),
                divisor);
        return;
      }
      combine_part(request, sights, rank, part, divisor);
      return;
    }
    case Collective::reduce_scatter: {
      const auto mine = part_of_block(request, rank, range);
      if (mine.size() == 0) return;
      for (std::size_t r = 0; r < sights.size(); ++r) sources_[r] = {sights[r].input, request.input.dtype};
      combine(request, own_output + mine.begin * out, mine.size(), divisor);
      return;
    }
    case Collective::all_gather:
      for (std::size_t distance = 0; distance < sights.size(); ++distance) {
        const std::size_t r = (rank + distance) % sights.size();  // not all from one rank at a time
        const auto theirs = part_of_block(request, r, range);
        copy(own_output + (block_of(request, r).begin + theirs.begin) * out, sights[r].input, theirs.size() * out);
      }
      return;
    case Collective::gather:
      if (static_cast<std::size_t>(request.root) != rank) return;
      for (std::size_t r = 0; r < sights.size(); ++r) {
        copy(own_output + (r * request.input.count + range.begin) * out, sights[r].input, count * out);
      }
      return;
    case Collective::scatter:
      copy(own_output + range.begin * out, sights[static_cast<std::size_t>(request.root)].input, count * out);
      return;
    case Collective::all_to_all: {
      const std::size_t block = request.input.count / sights.size() * out;
      for (std::size_t distance = 0; distance < sights.size(); ++distance) {
        const std::size_t r = (rank + distance) % sights.size();  // not all from one rank at a time
        copy(own_output + r * block + range.begin * out, sights[r].input, count * out);
      }
      return;
    }
    case Collective::broadcast:
      if (const auto root = static_cast<std::size_t>(request.root); root != rank)
        copy(own_output + range.begin * out, sights[root].input, count * out);
      return;
    case Collective::barrier:
    case Collective::send_recv: return;
  }
}

void Work::whole(const Request& request, std::span<const Sight> sights, std::size_t rank, double divisor,
                 std::byte* own_output) {
  if (request.collective == Collective::reduce && static_cast<std::size_t>(request.root) != rank) return;
  if (request.collective != Collective::all_reduce && request.collective != Collective::reduce) {
    piece(request, sights, rank, {0, elements_of_block(request)}, divisor, own_output);
    return;
  }
  const kernels::FloatEnvironment environment;
  for (std::size_t r = 0; r < sights.size(); ++r) sources_[r] = {sights[r].input, request.input.dtype};
  combine(request, own_output, request.output.count, divisor);
}

}  // namespace trireme::comm::shared
