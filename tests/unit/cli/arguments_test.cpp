// SPDX-License-Identifier: Apache-2.0
#include "cli/arguments.hpp"

#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using trireme::cli::Arguments;
using Words = std::vector<std::string>;

namespace {

/// A command with a flag of every type.
struct Command {
  std::string text = "unset";
  int small = 0;
  std::int64_t large = 0;
  std::uint64_t natural = 0;
  std::uint64_t limited = 1;
  double real = 0;
  bool on = false;

  bool parse(const Words& words) {
    Arguments flags("A command.", "command");
    flags.option("--text", text, "");
    flags.option("-n", small, "");
    flags.option("--large", large, "");
    flags.option("--natural", natural, "");
    flags.option("--limited", limited, "", {.least = 1, .most = 9});
    flags.option("--real", real, "");
    flags.flag("--on", on, "");
    return flags.parse(words);
  }
};

std::string refusal(const Words& words) {
  try {
    Command().parse(words);
  } catch (const Exception& exception) {
    CHECK(exception.error().code == ErrorCode::invalid_argument);
    return exception.error().message;
  }
  return "accepted";
}

}  // namespace

TEST_CASE("A number is the whole text of a flag, up to the ends of its type") {
  Command command;
  REQUIRE(command.parse({"-n", "-2147483648", "--large=-9223372036854775808", "--natural", "18446744073709551615",
                         "--limited", "9", "--real", "-1.5e3"}));
  CHECK(command.small == -2147483648);
  CHECK(command.large == std::numeric_limits<std::int64_t>::min());
  CHECK(command.natural == std::numeric_limits<std::uint64_t>::max());
  CHECK(command.limited == 9);
  CHECK(command.real == -1500);
}

TEST_CASE("What is no number is refused by the name of its flag and as it was typed") {
  for (const char* text : {"abc", "", "1.5", "1e3", "0x10", "3x", " 3", "+3", "-"}) {
    INFO("'" << text << "'");
    CHECK(refusal({"-n", text}) == "-n: '" + std::string(text) + "' is not an integer");
    CHECK(refusal({"--natural", text}) == "--natural: '" + std::string(text) + "' is not an integer");
  }
  for (const char* text : {"abc", "", "1,5", "1.5s"})
    CHECK(refusal({"--real", text}) == "--real: '" + std::string(text) + "' is not a number");
  CHECK(refusal({"--real", "1e400"}) == "--real: '1e400' is out of range");
}

TEST_CASE("No number wraps: what lies outside the range is refused and the range is named") {
  CHECK(refusal({"--natural", "-1"}) == "--natural must be at least 0, got -1");
  CHECK(refusal({"--natural", "18446744073709551616"}) ==
        "--natural must be at most 18446744073709551615, got 18446744073709551616");
  CHECK(refusal({"--natural=-99999999999999999999"}) == "--natural must be at least 0, got -99999999999999999999");
  CHECK(refusal({"-n", "2147483648"}) == "-n must be at most 2147483647, got 2147483648");
  CHECK(refusal({"-n", "-2147483649"}) == "-n must be at least -2147483648, got -2147483649");
  for (const char* text : {"0", "10", "-1", "99999999999999999999"})
    CHECK(refusal({"--limited", text}) == "--limited must be from 1 to 9, got " + std::string(text));
}

TEST_CASE("Of every flag typed again the last counts") {
  Command command;
  REQUIRE(
      command.parse({"--text", "a", "-n", "2", "--on", "--text=b", "-n", "3", "--real", "1", "--real", "2", "--on"}));
  CHECK(command.text == "b");
  CHECK(command.small == 3);
  CHECK(command.real == 2);
  CHECK(command.on);
}

TEST_CASE("A flag without its value says so") {
  CHECK(refusal({"--text="}) == "--text needs a value");
  CHECK(refusal({"--text"}) == "--text needs a value");
  CHECK(refusal({"-n"}) == "-n needs a value");
}

TEST_CASE("An empty text is a value") {
  Command command;
  REQUIRE(command.parse({"--text", ""}));
  CHECK(command.text.empty());
}
