// SPDX-License-Identifier: Apache-2.0
// Ranks on several hosts: what they compute is what one process computes, over IPv4 and over IPv6 alone.
#include "multiprocess/idx_folder.hpp"
#include "network/ranks.hpp"
#include "support/failures.hpp"

#include <catch2/catch.hpp>

#include <chrono>

using namespace trireme::testing;

namespace {

/// The last line of a run of `trireme train`: one rank's bytes of all weights.
std::string weights_of(const std::string& out) {
  const auto at = out.find("weights_xxh3=");
  return at == std::string::npos ? out : out.substr(at, out.find_first_of(" \n", at) - at);
}

}  // namespace

TEST_CASE("four hosts give the bits of every collective that threads of one process give") {
  if (!can_make_lab()) return;
  const Lab lab;
  auto ranks = start_ranks(lab, ENGINE_PROGRAM, {});
  for (auto& rank : ranks) {
    const Result result = rank->wait(std::chrono::seconds(180));  // thousands of operations, on a busy machine
    CAPTURE(result.out, result.err);
    REQUIRE(result.exit_code == 0);
    REQUIRE(has(result.out, "results equal"));
  }
}

TEST_CASE("four hosts train to the weights of four processes on one host, over IPv4 and over IPv6 alone") {
  if (!can_make_lab()) return;
  const IdxFolder samples(90, 40);
  const std::vector<std::string> training{"train",    "--data-dir", samples.path(), "--hidden", "16",
                                          "--epochs", "2",          "--batch-size", "16"};
  std::vector<std::string> launched{"run", "-n", "4", "--", TRIREME_PROGRAM};
  launched.insert(launched.end(), training.begin(), training.end());
  const Result here = run_trireme(launched);
  CAPTURE(here.out, here.err);
  REQUIRE(here.exit_code == 0);
  REQUIRE(has(weights_of(here.out), "weights_xxh3="));
  const bool ipv6 = GENERATE(false, true);
  CAPTURE(ipv6);
  const Lab lab({.hosts = 4, .ipv6 = ipv6});
  auto ranks = start_ranks(lab, TRIREME_PROGRAM, training);
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    const Result result = ranks[rank]->wait();
    CAPTURE(rank, result.out, result.err);
    REQUIRE(result.exit_code == 0);
    if (rank == 0) REQUIRE(weights_of(result.out) == weights_of(here.out));
  }
}
