// SPDX-License-Identifier: Apache-2.0
#include "trireme/pipeline/generate.hpp"

#include "support/failures.hpp"
#include "trireme/pipeline/check.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <string>

using namespace trireme;
using namespace trireme::pipeline;

TEST_CASE("every generated schedule can run, for any number of ranks, micro-batches and chunks") {
  for (int ranks = 1; ranks <= 9; ++ranks) {
    for (int micro_batches = 1; micro_batches <= 20; ++micro_batches) {
      INFO(ranks << " ranks, " << micro_batches << " micro-batches");
      for (const char* name : {"gpipe", "1f1b", "zb-h1", "zb-v"})
        CHECK(check(make_schedule(name, {ranks, micro_batches})).rank_of_stage.front() == 0);
      for (int chunks = 1; chunks <= 4; ++chunks) {
        const ScheduleFacts facts = check(interleaved(ranks, micro_batches, chunks));
        for (int stage = 0; stage < ranks * chunks; ++stage)
          CHECK(facts.rank_of_stage[static_cast<std::size_t>(stage)] == stage % ranks);
      }
    }
  }
}

TEST_CASE("activations that are live at once are as the schedules' authors say") {
  for (const int p : {1, 2, 4, 8}) {
    for (const int m : {1, 4, 8, 16, 32}) {
      INFO(p << " ranks, " << m << " micro-batches");
      const auto one = check(one_forward_one_backward(p, m));
      const auto h1 = check(zero_bubble_h1(p, m));
      const auto v = check(zero_bubble_v(p, m));
      for (int rank = 0; rank < p; ++rank) {
        const auto r = static_cast<std::size_t>(rank);
        CHECK(check(gpipe(p, m)).peak_of_rank[r] == m);
        CHECK(one.peak_of_rank[r] == std::min(p - rank, m));
        CHECK(h1.peak_of_rank[r] <= std::min(p, m));
        CHECK(v.peak_of_rank[r] <= 2 * std::min(p, m));
        for (const int chunks : {2, 4}) {
          // p micro-batches of a whole rank, and 2 (p - r) - 1 of a chunk less or more.
          const int ahead = 2 * (p - 1 - rank) + (chunks - 1) * p + 1;
          CHECK(check(interleaved(p, m, chunks)).peak_of_rank[r] <= std::min(ahead, m * chunks));
        }
      }
      const auto ranks = static_cast<std::size_t>(p);
      if (m >= p) CHECK(h1.peak_of_rank == std::vector<int>(ranks, p));
      if (m >= 2 * p - 1) CHECK(v.peak_of_rank == std::vector<int>(ranks, 2 * p));
    }
  }
}

TEST_CASE("sizes and names that make no sense are refused") {
  const auto refusal = [](const char* name, ScheduleSize size) {
    const Error error = testing::error_of([&] { (void)make_schedule(name, size); });
    return error.code == ErrorCode::invalid_argument ? error.message : "not refused";
  };
  CHECK(testing::has(refusal("dual", {2, 2}),
                     "no pipeline schedule is called 'dual': there are gpipe, 1f1b, interleaved, zb-h1, zb-v"));
  CHECK(testing::has(refusal("gpipe", {0, 2}), "gpipe with 0 ranks"));
  CHECK(testing::has(refusal("zb-v", {2, 0}), "zb-v with 0 micro-batches"));
  CHECK(testing::has(refusal("interleaved", {2, 2, 0}), "0 chunks"));
  CHECK(testing::has(refusal("1f1b", {2, 2, 2}), "one stage per rank, not 2"));
  CHECK(testing::has(refusal("zb-v", {2, 2, 3}), "two stages per rank, not 3"));
  CHECK(testing::has(refusal("interleaved", {100000, 1, 2}), "more than 2^26 actions"));
}
