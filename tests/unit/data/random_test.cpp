// SPDX-License-Identifier: Apache-2.0
#include "trireme/data/random.hpp"

#include <catch2/catch.hpp>

#include <set>
#include <vector>

using namespace trireme::data;

TEST_CASE("SplitMix64 gives the published sequence, in any order") {
  // Seed 1234567: the test vector of the Rosetta Code page "Pseudo-random numbers/Splitmix64".
  const std::vector<std::uint64_t> expected = {6457827717110365317u, 3203168211198807973u, 9817491932198370423u,
                                               4593380528125082431u, 16408922859458223821u};
  for (std::size_t i = expected.size(); i-- > 0;) CHECK(splitmix64_at(1234567, i) == expected[i]);
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
