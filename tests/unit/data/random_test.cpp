// SPDX-License-Identifier: Apache-2.0
#include "trireme/data/random.hpp"

#include <catch2/catch.hpp>

#include <cstdlib>
#include <set>
#include <vector>

using namespace trireme::data;

TEST_CASE("SplitMix64 gives the published sequence, in any order") {
  // Seed 1234567: the test vector of the Rosetta Code page "Pseudo-random numbers/Splitmix64".
  const std::vector<std::uint64_t> expected = {6457827717110365317u, 3203168211198807973u, 9817491932198370423u,
                                               4593380528125082431u, 16408922859458223821u};
  for (std::size_t i = expected.size(); i-- > 0;) CHECK(splitmix64_at(1234567, i) == expected[i]);
}

TEST_CASE("xoshiro256** gives the published sequence") {
  // State 1, 2, 3, 4: the test vector of the rand_xoshiro crate, made with the authors' C code.
  Xoshiro256StarStar random({1, 2, 3, 4});
  for (std::uint64_t expected :
       {11520ull, 0ull, 1509978240ull, 1215971899390074240ull, 1216172134540287360ull, 607988272756665600ull,
        16172922978634559625ull, 8476171486693032832ull, 10595114339597558777ull, 2904607092377533576ull}) {
    CHECK(random.next() == expected);
  }
}

TEST_CASE("below gives every value under its bound and none above, about equally often") {
  auto random = Xoshiro256StarStar::seeded(7);
  for (int i = 0; i < 100; ++i) REQUIRE(random.below(1) == 0);
  std::vector<int> histogram(6);
  for (int i = 0; i < 60000; ++i) ++histogram.at(random.below(6));
  for (int count : histogram) CHECK(std::abs(count - 10000) < 500);  // over five standard deviations
  // A bound just above 2^31 rejects almost half of the draws; the halves stay balanced.
  int upper = 0;
  const std::uint32_t bound = 0x80000001u;
  for (int i = 0; i < 10000; ++i) {
    const std::uint32_t value = random.below(bound);
    REQUIRE(value < bound);
    upper += value >= bound / 2 ? 1 : 0;
  }
  CHECK(std::abs(upper - 5000) < 300);
}

TEST_CASE("keys of different streams and seeds differ; unit_interval stays below one") {
  std::set<std::uint64_t> keys;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    for (std::uint64_t stream = 0; stream < 50; ++stream) keys.insert(stream_key(seed, stream));
  }
  REQUIRE(keys.size() == 2500);
  REQUIRE(unit_interval(0) == 0.0);
  REQUIRE(unit_interval(~std::uint64_t{0}) == 1.0 - 0x1p-53);
}
