// SPDX-License-Identifier: Apache-2.0
#include "platform/processor_list.hpp"

#include <catch2/catch.hpp>

using trireme::platform::allowed_processors;
using trireme::platform::most_processors;
using trireme::platform::parse_processors;
using trireme::platform::ProcessorList;
using trireme::platform::to_text;

TEST_CASE("a list of processors is written as the kernel writes it, and survives it") {
  const ProcessorList list{0, 1, 2, 3, 8, 10, 11};
  REQUIRE(to_text(list) == "0-3,8,10-11");
  REQUIRE(parse_processors(to_text(list)) == list);
  REQUIRE(to_text({}).empty());
  REQUIRE(parse_processors("") == ProcessorList{});
  REQUIRE(parse_processors("7") == ProcessorList{7});
  REQUIRE(parse_processors("0-8191")->size() == static_cast<std::size_t>(most_processors));
}

TEST_CASE("what is no list of processors is refused") {
  for (const char* text : {"a", "1,", ",1", "1-", "-1", "3-1", "2,1", "1,1", "1-3,3", "0-8192", "99999999999", "1 ",
                           "1\n", "1;2", "0x1", "+1", "1--2"}) {
    CAPTURE(text);
    REQUIRE(!parse_processors(text));
  }
}

TEST_CASE("this thread may run somewhere, and the list of it is ascending") {
  const auto allowed = allowed_processors();
  REQUIRE(!allowed.empty());
  REQUIRE(parse_processors(to_text(allowed)) == allowed);
}
