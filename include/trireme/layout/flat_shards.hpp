// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/layout/interval.hpp"

#include <cstddef>
#include <vector>

namespace trireme::layout {

/// Elements of one reduction block (norms, means, loss): design's unit for reductions over elements.
inline constexpr std::size_t reduction_block = 4096;

/// A logical flat tensor of `count` elements cut into `ranks` consecutive shards at block edges only, so that every
/// reduction block lies on one rank. Any count: shards differ by at most one block; the last block may be short; with
/// fewer blocks than ranks the last ranks own nothing.
class FlatShards {
 public:
  /// Errors: invalid_argument when ranks < 1 or block < 1.
  FlatShards(std::size_t count, int ranks, std::size_t block = reduction_block);

  std::size_t count() const { return count_; }
  int ranks() const { return ranks_; }
  std::size_t block() const { return block_; }
  /// What `rank` owns.
  Interval shard(int rank) const;
  /// Who owns `element`. Shape: element < count().
  int owner(std::size_t element) const;
  /// Elements of the largest shard, a multiple of block(): the padded size with which collectives of equal counts work.
  std::size_t padded_shard() const;
  /// The overlaps of `range` with the shards, in rank order: {rank, range within the logical tensor}.
  struct Piece {
    int rank;
    Interval range;
    friend bool operator==(const Piece&, const Piece&) = default;
  };
  std::vector<Piece> pieces(Interval range) const;

 private:
  std::size_t count_;
  int ranks_;
  std::size_t block_;
};

}  // namespace trireme::layout
