// SPDX-License-Identifier: Apache-2.0
// One launcher per host: a host that is cut off is named by all others, and nobody hangs.
#include "network/ranks.hpp"
#include "support/failures.hpp"

#include <catch2/catch.hpp>

#include <chrono>

using namespace trireme::testing;
using Clock = std::chrono::steady_clock;

TEST_CASE("launchers on hosts apart name the host that is cut off, and end their ranks") {
  if (!can_make_lab()) return;
  const int victim = GENERATE(0, 2);
  const bool with_world = GENERATE(false, true);
  Lab lab({.hosts = 3});
  std::vector<std::unique_ptr<Launched>> launchers;
  for (int host = 0; host < 3; ++host) {
    std::vector<std::string> words{"run",
                                   "-n",
                                   "1",
                                   "--nnodes",
                                   "3",
                                   "--node-rank",
                                   std::to_string(host),
                                   "--rendezvous",
                                   lab.address(0) + ":7777",
                                   "--"};
    const std::vector<std::string> program = with_world
                                                 ? std::vector<std::string>{FAULT_PROGRAM}
                                                 : std::vector<std::string>{"sh", "-c", "echo up; exec sleep 1000"};
    words.insert(words.end(), program.begin(), program.end());
    launchers.push_back(
        lab.start(host, TRIREME_PROGRAM, words, {{"TRIREME_JOB_KEY", "a key of sixteen or more characters"}}));
  }
  for (auto& launcher : launchers) launcher->await_out(with_world ? " reduces" : "up");
  lab.cut_off(victim);
  const auto begin = Clock::now();
  for (int host = 0; host < 3; ++host) {
    const Result result = launchers[static_cast<std::size_t>(host)]->wait();
    CAPTURE(victim, host, with_world, result.err);
    REQUIRE(result.exit_code == 137);
    if (host != victim)
      REQUIRE(has(result.err, "host " + Lab::name(victim) + " (node " + std::to_string(victim) + ") is gone"));
  }
  REQUIRE(Clock::now() - begin < std::chrono::seconds(60));  // five of silence, and room for a busy machine
}

TEST_CASE("launchers on hosts apart train to the weights of one host") {
  if (!can_make_lab()) return;
  const std::vector<std::string> train{TRIREME_PROGRAM,    "train", "--dataset", "synthetic:blobs",
                                       "--hidden",         "16",    "--epochs",  "1",
                                       "--logical-shards", "4"};
  const auto weights = [](const std::string& out) { return out.substr(out.find("weights_xxh3=")); };
  const auto words = [&](std::vector<std::string> all) {
    all.insert(all.end(), train.begin(), train.end());
    return all;
  };
  const Result here = run_trireme(words({"run", "-n", "1", "--"}));
  CAPTURE(here.out, here.err);
  REQUIRE(here.exit_code == 0);
  Lab lab({.hosts = 3});
  std::vector<std::unique_ptr<Launched>> launchers;
  for (int host = 0; host < 3; ++host) {
    launchers.push_back(lab.start(host, TRIREME_PROGRAM,
                                  words({"run", "-n", std::to_string(host == 1 ? 2 : 1), "--nnodes", "3", "--node-rank",
                                         std::to_string(host), "--rendezvous", lab.address(0) + ":7777", "--"}),
                                  {{"TRIREME_JOB_KEY", "a key of sixteen or more characters"}}));
  }
  for (std::size_t host = 0; host < 3; ++host) {
    const Result result = launchers[host]->wait();
    CAPTURE(host, result.out, result.err);
    REQUIRE(result.exit_code == 0);
    if (host == 0) REQUIRE(weights(result.out) == weights(here.out));
  }
}
