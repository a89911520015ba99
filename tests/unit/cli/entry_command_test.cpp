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

TEST_CASE("Commands of trireme need not be named twice") {
  for (const char* name : {"doctor", "run", "perf", "plan"}) {
    const auto options = parse_entry_options({name, "--flag"});
    REQUIRE(options.kind == EntryOptions::Kind::command);
    REQUIRE(options.words == Words{"trireme", name, "--flag"});
  }
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

TEST_CASE("The launcher knows by which code training says that it stopped in order") {
  trireme::platform::ClusterSpec spec;
  REQUIRE(interrupted_code({"trireme", "train"}, spec) == 143);
  spec.hyperparameters["interrupted_exit_code"] = "\"75\"";
  REQUIRE(interrupted_code({"trireme", "train"}, spec) == 75);
  REQUIRE(interrupted_code({"--interrupted-exit-code=80", "--epochs=1"}, spec) == 80);
  REQUIRE(interrupted_code({"--interrupted-exit-code", "81"}, spec) == 81);
  for (const Words& broken :
       {Words{"--interrupted-exit-code"}, Words{"--interrupted-exit-code=900"}, Words{"--interrupted-exit-code=x"}})
    REQUIRE(interrupted_code(broken, {}) == 143);
  REQUIRE(run_options({}, {}, spec, {"trireme", "train"}).interrupted_exit_code == 75);
}

TEST_CASE("The launcher of a host is told what the cluster's description says") {
  trireme::platform::ClusterSpec spec;
  spec.level = "node";
  spec.nnodes = 3;
  spec.node_rank = 1;
  spec.node_name = "algo-2";
  spec.hosts = {"algo-1", "algo-2", "algo-3"};
  spec.master = "algo-1";
  spec.port = 2222;
  spec.local_world = 8;
  spec.stop_grace = std::chrono::seconds(120);
  const Words program{"./mine", "--", "-n", "3"};
  auto run = run_options({}, {}, spec, program);
  REQUIRE(run.ranks == 8);
  REQUIRE(run.nnodes == 3);
  REQUIRE(run.node_rank == 1);
  REQUIRE(run.node_name == "algo-2");
  REQUIRE(run.node_names == spec.hosts);
  REQUIRE(run.rendezvous.to_string() == "algo-1:2222");
  REQUIRE(run.grace == std::chrono::seconds(108));
  REQUIRE(run.command == program);
  spec.port.reset();
  spec.master.reset();
  REQUIRE(run_options({}, {}, spec, program).rendezvous.to_string() == "algo-1:7777");
  EntryOptions typed;
  typed.grace = "7";
  run = run_options(typed, {{"TRIREME_PROCS_PER_NODE", "2"}}, spec, program);
  REQUIRE(run.ranks == 2);
  REQUIRE(run.grace == std::chrono::seconds(7));
  spec.hosts.clear();
  REQUIRE(trireme::testing::code_of([&] { run_options({}, {}, spec, program); }) ==
          trireme::ErrorCode::invalid_argument);

  trireme::platform::ClusterSpec alone;
  REQUIRE(run_options({}, {}, alone, program).ranks == 1);
  REQUIRE(run_options({}, {}, alone, program).nnodes == 1);
}
