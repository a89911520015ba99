// SPDX-License-Identifier: Apache-2.0
#include "trireme/data/evaluation_share.hpp"

#include "trireme/base/error.hpp"

#include <string>

namespace trireme::data {

layout::Interval evaluation_share(std::size_t count, int rank, int ranks, std::size_t block) {
  if (rank < 0 || rank >= ranks) {
    fail(ErrorCode::invalid_argument,
         "no share of an evaluation for rank " + std::to_string(rank) + " of " + std::to_string(ranks));
  }
  if (block == 0) fail(ErrorCode::invalid_argument, "an evaluation block must hold at least one sample");
  const std::size_t blocks = count / block + (count % block != 0 ? 1 : 0);
  const layout::Interval share =
      layout::piece({0, blocks}, static_cast<std::size_t>(ranks), static_cast<std::size_t>(rank));
  // Only the last block can be short.
  const auto position = [&](std::size_t index) { return index == blocks ? count : index * block; };
  return {position(share.begin), position(share.end)};
}

}  // namespace trireme::data
