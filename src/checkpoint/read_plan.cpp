// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/read_plan.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <map>
#include <string_view>
#include <tuple>

namespace trireme::checkpoint {
namespace {

/// The pieces of one slice that hold elements [first, last) of the tensor, which `to` wants from `first` on.
void add_pieces(const Manifest& manifest, const TensorRecord& tensor, const Slice& slice, std::size_t first,
                std::size_t last, std::byte* to, std::size_t window, std::vector<Piece>& pieces) {
  const std::size_t size = size_of(tensor.dtype);
  const std::size_t slice_bytes = slice.count * size;
  const std::size_t from = std::max<std::size_t>(first, slice.first),
                    until = std::min<std::size_t>(last, slice.first + slice.count);
  if (from >= until) return;
  std::size_t begin = (from - slice.first) * size;  // wanted bytes of the slice
  const std::size_t end = (until - slice.first) * size;
  std::byte* target = to + (from - first) * size;
  while (begin < end) {
    const std::size_t chunk = begin / manifest.chunk_bytes;
    const std::size_t chunk_begin = chunk * manifest.chunk_bytes;
    const std::size_t most = std::min(chunk_begin + window, slice_bytes);  // behind the last chunk of the piece
    const std::size_t wanted_end = std::min(end, most);
    const std::size_t chunks = (wanted_end - chunk_begin + manifest.chunk_bytes - 1) / manifest.chunk_bytes;
    pieces.push_back({.tensor = &tensor,
                      .slice = &slice,
                      .chunk = chunk,
                      .offset = slice.offset + chunk_begin,
                      .bytes = std::min<std::size_t>(chunks * manifest.chunk_bytes, slice_bytes - chunk_begin),
                      .skip = begin - chunk_begin,
                      .wanted = wanted_end - begin,
                      .to = target});
    target += wanted_end - begin;
    begin = wanted_end;
  }
}

}  // namespace

std::vector<Read> plan_reads(const Manifest& manifest, std::span<const StateReader::Target> targets,
                             std::size_t window) {
  std::map<std::string_view, const TensorRecord*> by_name;
  for (const TensorRecord& each : manifest.tensors) by_name.emplace(each.name, &each);
  std::vector<Piece> pieces;
  for (const StateReader::Target& target : targets) {
    const auto found = by_name.find(target.name);
    if (found == by_name.end()) fail(ErrorCode::corrupt, "the manifest has no tensor '" + target.name + "'");
    const std::size_t first = target.first.value_or(0);
    for (const Slice& slice : found->second->slices)
      add_pieces(manifest, *found->second, slice, first, first + target.to.count,
                 static_cast<std::byte*>(target.to.data), window, pieces);
  }
  std::stable_sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) {
    return std::tuple(a.slice->part, a.offset) < std::tuple(b.slice->part, b.offset);
  });
  std::vector<Read> reads;
  for (Piece& piece : pieces) {
    const bool joins = !reads.empty() && reads.back().part == piece.slice->part &&
                       reads.back().offset + reads.back().bytes == piece.offset &&
                       reads.back().bytes + piece.bytes <= window;
    if (!joins) reads.push_back({.part = piece.slice->part, .offset = piece.offset, .bytes = 0, .pieces{}});
    reads.back().bytes += piece.bytes;
    reads.back().pieces.push_back(piece);
  }
  return reads;
}

std::vector<std::vector<std::size_t>> share_reads(std::span<const Read> reads, int ranks,
                                                  std::span<const std::vector<int>> holders) {
  std::vector<std::vector<std::size_t>> shares(static_cast<std::size_t>(ranks));
  for (std::size_t i = 0; i < reads.size(); ++i) {
    if (holders.empty()) {
      shares[i % shares.size()].push_back(i);
      continue;
    }
    const std::vector<int>& able = holders[reads[i].part];
    if (able.empty()) fail(ErrorCode::corrupt, "no rank has part " + std::to_string(reads[i].part));
    const int least = *std::min_element(able.begin(), able.end(), [&](int a, int b) {
      return shares[static_cast<std::size_t>(a)].size() < shares[static_cast<std::size_t>(b)].size();
    });
    shares[static_cast<std::size_t>(least)].push_back(i);
  }
  return shares;
}

}  // namespace trireme::checkpoint
