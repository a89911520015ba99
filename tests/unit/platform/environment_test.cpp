// SPDX-License-Identifier: Apache-2.0
#include "trireme/platform/environment.hpp"

#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

using trireme::platform::Environment;

TEST_CASE("Environment copies name and value, keeps the first of duplicates, skips what is no variable") {
  const char* const entries[] = {"A=1", "EMPTY=", "A=2", "PATH=/x:/y=z", "nonsense", "=hidden", nullptr};
  auto environment = Environment::of_process(entries);
  REQUIRE(environment.variables() == Environment::Variables{{"A", "1"}, {"EMPTY", ""}, {"PATH", "/x:/y=z"}});
  REQUIRE(environment.has("EMPTY"));
  REQUIRE_FALSE(environment.has("B"));
  REQUIRE(environment.find("A") == "1");
  REQUIRE(environment.find("B") == std::nullopt);
  REQUIRE(Environment::of_process(nullptr).variables().empty());
}

TEST_CASE("Environment gives entries that make the same environment again") {
  Environment environment({{"B", "2"}, {"A", "x=y"}, {"C", ""}});
  REQUIRE(environment.entries() == std::vector<std::string>{"A=x=y", "B=2", "C="});
}

TEST_CASE("Environment removes by name and by prefix and nothing else") {
  Environment environment({{"A", "1"}, {"AB", "2"}, {"ABC", "3"}, {"AC", "4"}, {"B", "5"}});
  environment.erase("A");
  environment.erase("absent");
  environment.erase_prefix("AB");
  REQUIRE(environment.variables() == Environment::Variables{{"AC", "4"}, {"B", "5"}});
}

TEST_CASE("Environment reads whole decimal numbers in range and names variable and value of anything else") {
  REQUIRE(Environment({{"N", "0"}}).integer("N", 0, 9) == 0);
  REQUIRE(Environment({{"N", "9"}}).integer("N", 0, 9) == 9);
  REQUIRE(Environment().integer("N", 0, 9) == std::nullopt);
  std::string bad = GENERATE("", " ", "x", "1x", " 1", "1 ", "1.0", "+1", "-1", "10", "0x1", "99999999999999999999");
  Environment environment({{"N", bad}});
  try {
    environment.integer("N", 0, 9);
    FAIL("accepted '" << bad << "'");
  } catch (const trireme::Exception& exception) {
    REQUIRE(exception.error().code == trireme::ErrorCode::invalid_argument);
    REQUIRE(exception.error().message.find("N=" + bad + ":") == 0);
  }
}
