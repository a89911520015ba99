// SPDX-License-Identifier: Apache-2.0
#include "trireme/layout/flat_shards.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <limits>
#include <string>

namespace trireme::layout {
namespace {

/// Blocks of a tensor dealt to ranks: the first `extra` ranks hold base + 1 blocks, the others base.
struct Deal {
  std::size_t blocks;
  std::size_t base;
  std::size_t extra;

  Deal(std::size_t count, int ranks, std::size_t block)
      : blocks(count / block + (count % block != 0 ? 1 : 0)),
        base(blocks / static_cast<std::size_t>(ranks)),
        extra(blocks % static_cast<std::size_t>(ranks)) {}

  std::size_t first_block(std::size_t rank) const { return rank * base + std::min(rank, extra); }
  std::size_t owner_of_block(std::size_t index) const {
    std::size_t in_larger = extra * (base + 1);
    return index < in_larger ? index / (base + 1) : extra + (index - in_larger) / base;
  }
};

}  // namespace

FlatShards::FlatShards(std::size_t count, int ranks, std::size_t block) : count_(count), ranks_(ranks), block_(block) {
  if (ranks < 1) {
    fail(ErrorCode::invalid_argument,
         "a tensor sharded over " + std::to_string(ranks) + " ranks: give at least 1 rank");
  }
  if (block < 1) fail(ErrorCode::invalid_argument, "a tensor sharded in blocks of 0 elements: give at least 1 element");
  if (Deal(count, ranks, block).blocks > std::numeric_limits<std::size_t>::max() / block) {
    fail(ErrorCode::invalid_argument, "a tensor of " + std::to_string(count) +
                                          " elements cannot be padded to blocks of " + std::to_string(block) +
                                          ": the padded count is no std::size_t");
  }
}

Interval FlatShards::shard(int rank) const {
  Deal deal(count_, ranks_, block_);
  auto index = static_cast<std::size_t>(rank);
  return {std::min(count_, deal.first_block(index) * block_), std::min(count_, deal.first_block(index + 1) * block_)};
}

int FlatShards::owner(std::size_t element) const {
  return static_cast<int>(Deal(count_, ranks_, block_).owner_of_block(element / block_));
}

std::size_t FlatShards::padded_shard() const {
  Deal deal(count_, ranks_, block_);
  return (deal.base + (deal.extra != 0 ? 1 : 0)) * block_;
}

std::vector<FlatShards::Piece> FlatShards::pieces(Interval range) const {
  std::vector<Piece> result;
  std::size_t end = std::min(range.end, count_);
  for (std::size_t begin = range.begin; begin < end;) {
    int rank = owner(begin);
    std::size_t next = std::min(end, shard(rank).end);
    result.push_back({rank, {begin, next}});
    begin = next;
  }
  return result;
}

}  // namespace trireme::layout
