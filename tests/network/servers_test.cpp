// SPDX-License-Identifier: Apache-2.0
// Parameter servers on hosts apart, and as the way out when a link between two of them is ill.
#include "network/ranks.hpp"
#include "support/failures.hpp"

#include <catch2/catch.hpp>

#include <memory>
#include <string>
#include <vector>

using namespace trireme::testing;

namespace {

using Launchers = std::vector<std::unique_ptr<Launched>>;

/// One launcher on each of three hosts, one rank each.
Launchers start_on(Lab& lab, const std::vector<std::string>& launcher, const std::vector<std::string>& flags) {
  Launchers launchers;
  for (int host = 0; host < lab.hosts(); ++host) {
    std::vector<std::string> words{"run",
                                   "-n",
                                   "1",
                                   "--nnodes",
                                   std::to_string(lab.hosts()),
                                   "--node-rank",
                                   std::to_string(host),
                                   "--rendezvous",
                                   lab.address(0) + ":7777"};
    words.insert(words.end(), launcher.begin(), launcher.end());
    words.insert(words.end(), {"--", TRIREME_PROGRAM, "train", "--dataset", "synthetic:blobs", "--samples", "1000",
                               "--features", "32", "--hidden", "256", "--batch-size", "32", "--logical-shards", "4"});
    words.insert(words.end(), flags.begin(), flags.end());
    launchers.push_back(
        lab.start(host, TRIREME_PROGRAM, words, {{"TRIREME_JOB_KEY", "a key of sixteen or more characters"}}));
  }
  return launchers;
}

std::vector<Result> ended(const Launchers& launchers) {
  std::vector<Result> results;
  for (auto& each : launchers) {
    results.push_back(each->wait());
    INFO(results.back().out << results.back().err);
    REQUIRE(results.back().exit_code == 0);
  }
  return results;
}

std::vector<Result> train_on(Lab& lab, const std::vector<std::string>& launcher,
                             const std::vector<std::string>& flags) {
  return ended(start_on(lab, launcher, flags));
}

std::string weights(const Result& result) { return result.out.substr(result.out.find("weights_xxh3=")); }

}  // namespace

TEST_CASE("servers on node 0 of several hosts give the weights of all_reduce") {
  if (!can_make_lab()) return;
  Lab lab({.hosts = 3});
  const std::string expected = weights(train_on(lab, {}, {"--epochs", "1"})[0]);
  REQUIRE(weights(train_on(lab, {"--servers", "2"}, {"--epochs", "1", "--sync", "ps"})[0]) == expected);
  REQUIRE(weights(train_on(lab, {}, {"--epochs", "1", "--sync", "ps"})[0]) == expected);
}

TEST_CASE(
    "a job whose link between two hosts carries 1 Mbit/s goes by servers beside the third, with the same weights") {
  if (!can_make_lab()) return;
  const std::vector<std::string> flags{"--epochs", "2", "--fallback", "ps"};
  std::string expected;
  {
    Lab lab({.hosts = 3});
    const auto well = train_on(lab, {}, flags);
    REQUIRE_FALSE(has(well[0].err, "gradients go by servers"));
    expected = weights(well[0]);
  }
  Lab lab({.hosts = 3});
  lab.police_one_way(1, 2, "125 kbytes/second");
  lab.police_one_way(2, 1, "125 kbytes/second");
  const auto ill = train_on(lab, {}, flags);
  INFO(ill[0].err);
  REQUIRE(has(ill[0].err, "gradients go by servers (--fallback ps)"));
  REQUIRE(has(ill[0].err, "the link between ranks 1 and 2 carries"));
  REQUIRE(weights(ill[0]) == expected);
}

TEST_CASE("a job that went to servers comes back to all_reduce when the link is well again, with the same weights") {
  if (!can_make_lab()) return;
  const std::vector<std::string> flags{"--epochs", "60"};
  std::string expected;
  {
    Lab lab({.hosts = 3});
    expected = weights(train_on(lab, {}, flags)[0]);
  }
  Lab lab({.hosts = 3});
  lab.police_one_way(1, 2, "125 kbytes/second");
  lab.police_one_way(2, 1, "125 kbytes/second");
  const Launchers job = start_on(lab, {}, {"--epochs", "60", "--fallback", "ps"});
  job[0]->await_err("gradients go by servers (--fallback ps)");
  lab.heal();
  job[0]->await_err("gradients go by all_reduce again");
  const auto healed = ended(job);
  INFO(healed[0].err);
  REQUIRE(weights(healed[0]) == expected);
}
