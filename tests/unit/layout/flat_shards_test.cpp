// SPDX-License-Identifier: Apache-2.0
#include "trireme/layout/flat_shards.hpp"

#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <limits>
#include <tuple>
#include <vector>

namespace trireme::layout {

TEST_CASE("Shards cover the tensor in rank order, are cut at block edges and differ by at most one block") {
  for (std::size_t block : {1u, 3u, 16u}) {
    for (std::size_t count = 0; count <= 130; ++count) {
      for (int ranks = 1; ranks <= 9; ++ranks) {
        FlatShards shards(count, ranks, block);
        std::size_t next = 0;
        std::size_t smallest = std::numeric_limits<std::size_t>::max();
        std::size_t largest = 0;
        for (int rank = 0; rank < ranks; ++rank) {
          Interval shard = shards.shard(rank);
          REQUIRE(shard.begin == next);
          REQUIRE((shard.end % block == 0 || shard.end == count));
          std::size_t blocks = (shard.size() + block - 1) / block;
          smallest = std::min(smallest, blocks);
          largest = std::max(largest, blocks);
          for (std::size_t i = shard.begin; i < shard.end; ++i) REQUIRE(shards.owner(i) == rank);
          next = shard.end;
        }
        REQUIRE(next == count);
        REQUIRE(largest - smallest <= 1);
        REQUIRE(shards.padded_shard() == largest * block);
      }
    }
  }
}

TEST_CASE("With fewer blocks than ranks the last ranks own nothing") {
  FlatShards shards(reduction_block + 1, 4);
  REQUIRE(shards.shard(0) == Interval{0, reduction_block});
  REQUIRE(shards.shard(1) == Interval{reduction_block, reduction_block + 1});
  REQUIRE(shards.shard(2).size() == 0);
  REQUIRE(shards.shard(3).size() == 0);
  REQUIRE(shards.padded_shard() == reduction_block);
}

TEST_CASE("A tensor without elements gives every rank an empty shard") {
  FlatShards shards(0, 3);
  for (int rank = 0; rank < 3; ++rank) REQUIRE(shards.shard(rank) == Interval{0, 0});
  REQUIRE(shards.padded_shard() == 0);
  REQUIRE(shards.pieces({0, 0}).empty());
}

TEST_CASE("Pieces of a range are its overlaps with the shards") {
  FlatShards shards(100, 3, 10);  // blocks 4, 3, 3
  REQUIRE(shards.pieces({0, 100}) == std::vector<FlatShards::Piece>{{0, {0, 40}}, {1, {40, 70}}, {2, {70, 100}}});
  REQUIRE(shards.pieces({39, 71}) == std::vector<FlatShards::Piece>{{0, {39, 40}}, {1, {40, 70}}, {2, {70, 71}}});
  REQUIRE(shards.pieces({45, 46}) == std::vector<FlatShards::Piece>{{1, {45, 46}}});
  REQUIRE(shards.pieces({45, 45}).empty());
  REQUIRE(shards.pieces({95, 200}) == std::vector<FlatShards::Piece>{{2, {95, 100}}});
  for (std::size_t begin = 0; begin <= 25; ++begin) {
    for (std::size_t end = begin; end <= 25; ++end) {
      FlatShards small(25, 4, 4);
      std::size_t next = begin;
      for (const auto& piece : small.pieces({begin, end})) {
        REQUIRE(piece.range.begin == next);
        REQUIRE(piece.range.size() > 0);
        REQUIRE(small.shard(piece.rank).begin <= piece.range.begin);
        REQUIRE(small.shard(piece.rank).end >= piece.range.end);
        next = piece.range.end;
      }
      REQUIRE(next == end);
    }
  }
}

TEST_CASE("Counts near 2^62 are sharded without overflow") {
  constexpr std::size_t huge = (std::size_t{1} << 62) + 12345;
  for (int ranks : {1, 3, 7, 1000, 1 << 30}) {
    FlatShards shards(huge, ranks);
    Interval last = shards.shard(ranks - 1);
    REQUIRE(last.end == huge);
    REQUIRE(shards.owner(huge - 1) == ranks - 1);
    REQUIRE(shards.owner(last.begin) == ranks - 1);
    REQUIRE(shards.owner(0) == 0);
    REQUIRE(shards.padded_shard() >= shards.shard(0).size());
    REQUIRE(shards.padded_shard() % reduction_block == 0);
    if (ranks > 1) {
      REQUIRE(shards.shard(ranks - 2).end == last.begin);
      REQUIRE(shards.pieces({last.begin - 1, huge}).size() == 2);
    }
  }
}

TEST_CASE("Impossible shardings are refused") {
  for (auto [count, ranks, block] : std::vector<std::tuple<std::size_t, int, std::size_t>>{
           {10, 0, 4}, {10, -1, 4}, {10, 2, 0}, {std::numeric_limits<std::size_t>::max(), 2, 4096}}) {
    try {
      FlatShards(count, ranks, block);
      FAIL("accepted " << count << " elements, " << ranks << " ranks, blocks of " << block);
    } catch (const Exception& e) {
      REQUIRE(e.error().code == ErrorCode::invalid_argument);
    }
  }
}

}  // namespace trireme::layout
