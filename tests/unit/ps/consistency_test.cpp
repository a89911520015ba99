// SPDX-License-Identifier: Apache-2.0
#include "trireme/ps/consistency.hpp"

#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using ps::Consistency;

TEST_CASE("A consistency reads as it is written, and stale by no step is bulk-synchronous") {
  for (const char* text : {"bsp", "ssp:1", "ssp:4294967295", "async"})
    CHECK(Consistency::parse(text).to_string() == text);
  CHECK(Consistency::parse("ssp:0") == Consistency{});
  for (const char* text : {"", "ssp", "ssp:", "ssp:-1", "ssp:3x", "ssp:4294967296", "BSP", "asynchronous"}) {
    INFO(text);
    CHECK_THROWS_WITH(Consistency::parse(text),
                      Catch::Matchers::Contains("'" + std::string(text) + "' is no consistency"));
  }
}
