// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/read_plan.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <map>
#include <string_view>
#include <tuple>

namespace trireme::checkpoint {
namespace {

/// Consecutive elements of a tensor.
struct Elements {
  std::size_t first = 0;
  std::size_t last = 0;  ///< behind them
};

/// The pieces of one slice that hold the elements to read, of which `to` wants `kept` from its begin on.
void add_pieces(const Manifest& manifest, const TensorRecord& tensor, const Slice& slice, Elements read, Elements kept,
                std::byte* to, std::size_t window, std::vector<Piece>& pieces) {
  const std::size_t size = size_of(tensor.dtype);
  const std::size_t slice_bytes = slice.count * size;
  const std::size_t from = std::max<std::size_t>(read.first, slice.first),
                    until = std::min<std::size_t>(read.last, slice.first + slice.count);
  const std::size_t slice_begin = slice.first * size;  // in bytes of the tensor, as kept_begin and kept_end
  const std::size_t kept_begin = kept.first * size, kept_end = kept.last * size;
  if (from >= until) return;
  std::size_t begin = (from - slice.first) * size;  // wanted bytes of the slice
  const std::size_t end = (until - slice.first) * size;
  while (begin < end) {
    const std::size_t chunk = begin / manifest.chunk_bytes;
    const std::size_t chunk_begin = chunk * manifest.chunk_bytes;
    const std::size_t most = std::min(chunk_begin + window, slice_bytes);  // behind the last chunk of the piece
    const std::size_t wanted_end = std::min(end, most);
    const std::size_t chunks = (wanted_end - chunk_begin + manifest.chunk_bytes - 1) / manifest.chunk_bytes;
    const std::size_t keep = std::max(slice_begin + begin, kept_begin);
    const std::size_t keep_end = std::min(slice_begin + wanted_end, kept_end);
    const bool is_kept = keep < keep_end;
    pieces.push_back({.tensor = &tensor,
                      .slice = &slice,
                      .chunk = chunk,
                      .offset = slice.offset + chunk_begin,
                      .bytes = std::min<std::size_t>(chunks * manifest.chunk_bytes, slice_bytes - chunk_begin),
                      .skip = is_kept ? keep - slice_begin - chunk_begin : 0,
                      .wanted = is_kept ? keep_end - keep : 0,
                      .to = is_kept ? to + (keep - kept_begin) : nullptr});
    begin = wanted_end;
  }
}

}  // namespace

std::vector<Read> plan_reads(const Manifest& manifest, std::span<const StateReader::Target> targets, std::size_t window,
                             bool reads_whole) {
  std::map<std::string_view, const TensorRecord*> by_name;
  for (const TensorRecord& each : manifest.tensors) by_name.emplace(each.name, &each);
  std::vector<Piece> pieces;
  for (const StateReader::Target& target : targets) {
    const auto found = by_name.find(target.name);
    if (found == by_name.end()) fail(ErrorCode::corrupt, "the manifest has no tensor '" + target.name + "'");
    const std::size_t first = target.first.value_or(0);
    const Elements kept{first, first + target.to.count};
    const Elements read = reads_whole ? Elements{0, found->second->count()} : kept;
    for (const Slice& slice : found->second->slices)
      add_pieces(manifest, *found->second, slice, read, kept, static_cast<std::byte*>(target.to.data), window, pieces);
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
