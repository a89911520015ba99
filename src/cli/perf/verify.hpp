// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/perf/operation.hpp"
#include "cli/perf/pattern.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace trireme::cli {

/// Whether the result of an operation is, bit for bit, what the ranks' patterns make of it.
struct Verify {
  const PerfPattern& pattern;
  const PerfOperation& operation;
  int rank = 0;
  int ranks = 1;
  int root = 0;

  /// How many elements of this rank's `output` are wrong. Shape: blocks of `count` elements, whose inputs are those of
  ///         `iteration`.
  std::size_t wrong(std::span<const std::byte> output, std::size_t count, std::uint64_t iteration) const {
    if (operation.root_only && rank != root) return 0;
    const std::size_t blocks = count_of(operation.output, ranks);
    std::size_t bad = 0;
    for (std::size_t block = 0; block < blocks; ++block) {
      const PerfOrigin origin = operation.origin(rank, ranks, root, static_cast<int>(block));
      const std::size_t size = output.size() / blocks;
      bad += pattern.wrong(output.subspan(block * size, size), iteration, origin.rank,
                           static_cast<std::size_t>(origin.block) * count);
    }
    return bad;
  }
};

}  // namespace trireme::cli
