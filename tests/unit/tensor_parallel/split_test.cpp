// SPDX-License-Identifier: Apache-2.0
#include "trireme/tensor_parallel/split.hpp"

#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <vector>

namespace trireme::tensor_parallel {

TEST_CASE("The shares of all ranks cover a tensor once, in whole units, and differ by at most one") {
  for (const Split& split : {Split{1, 10, 3}, Split{4, 7, 1}, Split{3, 12, 5, 4}, Split{2, 3, 1, 3}, Split{1, 0, 4}}) {
    for (const int ranks : {1, 2, 3, 4, 8}) {
      std::vector<int> owners(split.count(), 0);
      std::size_t least = split.extent, most = 0;
      for (int rank = 0; rank < ranks; ++rank) {
        std::size_t elements = 0;
        for (const layout::Interval range : split.ranges(rank, ranks)) {
          elements += range.size();
          for (std::size_t e = range.begin; e < range.end; ++e) ++owners[e];
        }
        CAPTURE(split.outer, split.extent, split.unit, ranks, rank);
        REQUIRE(elements == split.share_count(rank, ranks));
        const layout::Interval share = split.share(rank, ranks);
        REQUIRE(share.begin % split.unit == 0);
        REQUIRE(share.size() % split.unit == 0);
        least = std::min(least, share.size());
        most = std::max(most, share.size());
      }
      REQUIRE(std::all_of(owners.begin(), owners.end(), [](int owner) { return owner == 1; }));
      REQUIRE(most - least <= split.unit);
    }
  }
}

TEST_CASE("A unit that does not divide the dimension is refused, naming both") {
  for (const std::size_t unit : {std::size_t{0}, std::size_t{4}}) {
    try {
      Split{1, 10, 1, unit}.check();
      FAIL("not refused");
    } catch (const Exception& refused) {
      REQUIRE(refused.error().code == ErrorCode::invalid_argument);
      REQUIRE(refused.error().message.find("a dimension of 10 cannot be shared in units of " + std::to_string(unit)) !=
              std::string::npos);
    }
  }
}

}  // namespace trireme::tensor_parallel
