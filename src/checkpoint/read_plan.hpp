// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/tensor_view.hpp"
#include "trireme/checkpoint/manifest.hpp"
#include "trireme/checkpoint/state.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace trireme::checkpoint {

/// Whole chunks of a slice, and which of their elements are wanted where.
struct Piece {
  const TensorRecord* tensor = nullptr;
  const Slice* slice = nullptr;
  std::size_t chunk = 0;     ///< the first one
  std::uint64_t offset = 0;  ///< of the part's file
  std::size_t bytes = 0;
  std::size_t skip = 0;    ///< bytes before the first wanted one
  std::size_t wanted = 0;  ///< 0: none of it
  std::byte* to = nullptr;
};

/// Consecutive bytes of a part that are read at once.
struct Read {
  std::uint32_t part = 0;
  std::uint64_t offset = 0;
  std::size_t bytes = 0;
  std::vector<Piece> pieces;
};

/// The reads, none longer than `window` (a multiple of the manifest's chunk), that bring every target what it wants, each
/// chunk once per target. In the order of parts and bytes. `reads_whole`: of targets that are parts of tensors the whole is read
/// (and the rest not wanted), so that ranks with other parts of the same have the same reads.
/// Errors: corrupt when the manifest has no such tensor.
std::vector<Read> plan_reads(const Manifest& manifest, std::span<const StateReader::Target> targets, std::size_t window,
                             bool reads_whole);

/// Which of `reads` each of `ranks` does: as equal as can be, among the ranks that have the part (`holders`, by part; none
/// given: all have all).
std::vector<std::vector<std::size_t>> share_reads(std::span<const Read> reads, int ranks,
                                                  std::span<const std::vector<int>> holders = {});

}  // namespace trireme::checkpoint
