// SPDX-License-Identifier: Apache-2.0
#include "engines/device/peer/itinerary.hpp"

#include <algorithm>

namespace trireme::engines::device::peer {
namespace {

constexpr std::uint64_t grain = 256;  // what begins in a slot begins at a multiple

}  // namespace

Itinerary::Itinerary(const comm::Request& request, Place place) : request_(request), place_(place) {
  const auto ranks = static_cast<std::uint64_t>(place.ranks);
  const bool premultiplied = request.op.kind == ReduceKind::premultiplied_sum;
  std::uint64_t shared = 1;  // parts of a slot
  if (comm::reduces(request.collective)) {
    output_ = request.output.dtype;
    staged_ = premultiplied ? accumulator_of(output_) : request.input.dtype;
    const std::uint64_t bytes = request.input.count * size_of(staged_);
    if (request.collective == Collective::reduce_scatter) {
      extent_ = block_ = request.output.count;
      if (request.uneven) extent_ = largest(request.input_blocks);
      shared = ranks;
    } else {
      extent_ = request.input.count;
      two_shot_ = ranks > 1 && bytes > place.one_shot_bytes;
      // The parts of a vector in two shots are rounded up to whole vectors: with the last ones' room to spare.
      if (two_shot_) shared = ranks;
    }
    stride_ = place.slot_bytes / shared / grain * grain;
    step_ = stride_ / std::max(size_of(staged_), size_of(output_));
    if (two_shot_) step_ *= ranks;
  } else {
    const bool to_all = request.collective == Collective::all_to_all;
    const bool from_root = request.collective == Collective::scatter;
    element_ = size_of(request.collective == Collective::scatter ? request.output.dtype : request.input.dtype);
    if (to_all || from_root) shared = ranks;
    stride_ = place.slot_bytes / shared / grain * grain;
    step_ = stride_;
    switch (request.collective) {
      case Collective::all_gather:
      case Collective::gather: block_ = request.input.count * element_; break;
      case Collective::scatter: block_ = request.output.count * element_; break;
      case Collective::all_to_all: block_ = request.input.count * element_ / ranks; break;
      default: break;
    }
    extent_ = block_;
    if (request.collective == Collective::broadcast) extent_ = request.output.count * element_;
    if (request.uneven) {
      const auto edges = from_root ? request.input_blocks : request.output_blocks;
      extent_ = largest(edges);
    }
  }
  rounds_ = std::max<std::uint64_t>((extent_ + step_ - 1) / step_, 1);
  const std::uint64_t bytes =
      std::min(extent_, step_) * size_of(staged_) * (request.collective == Collective::reduce_scatter ? ranks : shared);
  blocks_ = static_cast<unsigned>(
      std::clamp<std::uint64_t>((two_shot_ ? bytes / ranks : bytes) / bytes_per_block, 1, place.blocks));
}

/// Where block `rank` begins.
std::uint64_t Itinerary::edge(std::span<const std::size_t> edges, std::uint64_t rank) const {
  return request_.uneven ? edges[rank] * element_ : rank * block_;
}

std::uint64_t Itinerary::largest(std::span<const std::size_t> edges) const {
  std::uint64_t size = 0;
  for (std::uint64_t r = 0; r < static_cast<std::uint64_t>(place_.ranks); ++r)
    size = std::max(size, edge(edges, r + 1) - edge(edges, r));
  return size;
}

/// How much of [begin, end) block `rank` has.
std::uint64_t Itinerary::part(std::span<const std::size_t> edges, std::uint64_t rank, std::uint64_t begin,
                              std::uint64_t end) const {
  const std::uint64_t size = edge(edges, rank + 1) - edge(edges, rank);
  return std::min(end, size) - std::min(begin, size);
}

void Itinerary::fill_two_shot(Round& round, std::uint64_t begin, std::uint64_t end) const {
  const auto ranks = static_cast<std::uint64_t>(place_.ranks);
  // Whole vectors each, but for the last ones; no more than there is room for, as step_ is a multiple.
  const std::uint64_t each = ((end - begin + ranks - 1) / ranks + 15) / 16 * 16;
  const bool wanted = request_.collective != Collective::reduce || is_root();
  for (std::uint64_t r = 0; r < ranks; ++r) {
    const std::uint64_t from = std::min(begin + r * each, end);
    const std::uint64_t count = std::min(from + each, end) - from;
    round.stage[round.staged++] = {from, count, r * stride_, 0};
    if (wanted) round.bring[round.brought++] = {from, count, 0, static_cast<std::uint32_t>(r)};
    if (r == static_cast<std::uint64_t>(place_.rank)) round.reduce = {0, count, r * stride_, 0};
  }
}

void Itinerary::fill_reduction(Round& round, std::uint64_t begin, std::uint64_t end) const {
  round.second = two_shot_;
  round.reduces = true;
  if (two_shot_) return fill_two_shot(round, begin, end);
  const auto self = static_cast<std::uint64_t>(place_.rank);
  if (request_.collective == Collective::reduce_scatter) {
    const auto blocks = request_.input_blocks;
    for (std::uint64_t r = 0; r < static_cast<std::uint64_t>(place_.ranks); ++r)
      round.stage[round.staged++] = {edge(blocks, r) + begin, part(blocks, r, begin, end), r * stride_, 0};
    round.reduce = {begin, part(blocks, self, begin, end), self * stride_, 0};
    return;
  }
  round.stage[round.staged++] = {begin, end - begin, 0, 0};
  round.reduces = request_.collective != Collective::reduce || is_root();
  round.reduce = {begin, end - begin, 0, 0};
}

void Itinerary::fill(Round& round, std::uint64_t index) const {
  const std::uint64_t begin = index * step_;
  const std::uint64_t end = std::min(extent_, begin + step_);
  const auto ranks = static_cast<std::uint64_t>(place_.ranks);
  const auto self = static_cast<std::uint64_t>(place_.rank);
  const auto root = static_cast<std::uint32_t>(request_.root);
  round.staged = round.brought = 0;
  round.second = round.reduces = false;
  if (comm::reduces(request_.collective)) return fill_reduction(round, begin, end);
  const auto in = request_.input_blocks;
  const auto out = request_.output_blocks;
  const auto stage = [&](Span span) { round.stage[round.staged++] = span; };
  const auto bring = [&](Span span) { round.bring[round.brought++] = span; };
  switch (request_.collective) {
    case Collective::all_gather:
    case Collective::gather:
      stage({begin, part(out, self, begin, end), 0, 0});
      if (request_.collective == Collective::gather && !is_root()) return;
      for (std::uint64_t r = 0; r < ranks; ++r)
        bring({edge(out, r) + begin, part(out, r, begin, end), 0, static_cast<std::uint32_t>(r)});
      return;
    case Collective::broadcast:
      if (is_root()) return stage({begin, end - begin, 0, 0});
      return bring({begin, end - begin, 0, root});
    case Collective::scatter:
      for (std::uint64_t r = 0; is_root() && r < ranks; ++r)
        stage({edge(in, r) + begin, part(in, r, begin, end), r * stride_, 0});
      return bring({begin, part(in, self, begin, end), self * stride_, root});
    case Collective::all_to_all:
      for (std::uint64_t r = 0; r < ranks; ++r) {
        stage({edge(in, r) + begin, part(in, r, begin, end), r * stride_, 0});
        bring({edge(out, r) + begin, part(out, r, begin, end), self * stride_, static_cast<std::uint32_t>(r)});
      }
      return;
    default: return;
  }
}

}  // namespace trireme::engines::device::peer
