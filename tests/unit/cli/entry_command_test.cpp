// SPDX-License-Identifier: Apache-2.0
#include "cli/entry/command.hpp"
#include "support/failures.hpp"

#include <catch2/catch.hpp>

using namespace trireme::cli;
using Kind = EntryOptions::Kind;
using Words = std::vector<std::string>;

TEST_CASE("Nothing, train and flags are training; anything else is a command") {
  REQUIRE(parse_entry_options({}).kind == Kind::train);
  REQUIRE(parse_entry_options({"train", "--epochs", "5"}).words == Words{"--epochs", "5"});
  REQUIRE(parse_entry_options({"--epochs=5", "--lr", "0.1"}).kind == Kind::train);
  REQUIRE(parse_entry_options({"--epochs=5", "--lr", "0.1"}).words == Words{"--epochs=5", "--lr", "0.1"});
  REQUIRE(parse_entry_options({"serve"}).kind == Kind::serve);
  const auto command = parse_entry_options({"bash", "-c", "train"});
  REQUIRE(command.kind == Kind::command);
  REQUIRE(command.words == Words{"bash", "-c", "train"});
}

TEST_CASE("The entry's own flags stand before the first word and nowhere else") {
  const auto options =
      parse_entry_options({"--root", "/fake", "--grace=7", "--config-timeout", "2", "train", "--root", "x"});
  REQUIRE(options.root == "/fake");
  REQUIRE(options.grace == "7");
  REQUIRE(options.config_timeout == std::chrono::seconds(2));
  REQUIRE(options.words == Words{"--root", "x"});
  for (const Words& words : {Words{"--root"}, Words{"--root="}, Words{"--config-timeout", "soon"}, Words{"train", "--"},
                             Words{"train", "--", ""}}) {
    REQUIRE(trireme::testing::code_of([&] { parse_entry_options(words); }) == trireme::ErrorCode::invalid_argument);
  }
}

TEST_CASE("Our training program reads hyperparameters itself; a user's is given them as flags, behind its own") {
  trireme::platform::ClusterSpec spec;
  spec.hyperparameters = {{"batch-size", "256"}, {"layers", "[1,2]"}, {"model", "\"resnet 50\""}};
  const auto train = parse_entry_options({"train", "--epochs=5"});
  REQUIRE(training_command(train, {}, spec) == Words{"trireme", "train", "--epochs=5"});
  REQUIRE(training_command(train, "/my_program", spec) ==
          Words{"/my_program", "--epochs=5", "--batch-size=256", "--layers=[1,2]", "--model=resnet 50"});
  const auto named = parse_entry_options({"train", "--", "./mine", "--flag"});
  REQUIRE(training_command(named, "/my_program", {}) == Words{"./mine", "--flag"});
}

TEST_CASE("Ranks have less time than the platform grants") {
  using namespace std::chrono_literals;
  REQUIRE(grace_within(120s) == 108s);
  REQUIRE(grace_within(30s) == 27s);
  REQUIRE(grace_within(1s) == 500ms);
}
