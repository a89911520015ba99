// SPDX-License-Identifier: Apache-2.0
#include "trireme/data/philox.hpp"

#include <catch2/catch.hpp>

#include <array>

using trireme::data::philox4x32;

TEST_CASE("Philox 4x32-10 gives the published words") {
  // The known answers that the authors publish with Random123.
  using Words = std::array<std::uint32_t, 4>;
  CHECK(philox4x32({0, 0, 0, 0}, 0) == Words{0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u});
  CHECK(philox4x32({~0u, ~0u, ~0u, ~0u}, ~std::uint64_t{0}) ==
        Words{0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu});
  CHECK(philox4x32({0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u}, 0x299f31d0a4093822u) ==
        Words{0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u});
  static_assert(philox4x32({0, 0, 0, 0}, 0)[0] == 0x6627e8d5u);
}
