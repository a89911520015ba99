// SPDX-License-Identifier: Apache-2.0
// Schedules that would go wrong are refused, naming rank, action and why.
#include "trireme/pipeline/check.hpp"

#include "support/failures.hpp"
#include "trireme/pipeline/generate.hpp"
#include "trireme/pipeline/schedule_text.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace trireme;
using namespace trireme::pipeline;

namespace {

std::string refusal(const std::string& text, const CheckOptions& options = {}) {
  const Error error = testing::error_of([&] { check(parse_schedule(text, "text"), options); });
  return error.code == ErrorCode::invalid_argument ? error.message : "not refused";
}

}  // namespace

TEST_CASE("what a schedule is found to be: ranks of stages, peaks, messages") {
  const ScheduleFacts facts = check(zero_bubble_v(2, 4));
  CHECK(facts.rank_of_stage == std::vector<int>{0, 1, 1, 0});
  CHECK(facts.stages_of(1) == std::vector<int>{1, 2});
  CHECK(facts.splits_backward);
  CHECK(facts.messages == 4 * 2 * 2);  // the turn between stages 1 and 2 is within a rank
  const ScheduleFacts plain = check(one_forward_one_backward(3, 8));
  CHECK(plain.peak_of_rank == std::vector<int>{3, 2, 1});
  CHECK_FALSE(plain.splits_backward);
}

TEST_CASE("actions that are missing, double, at the wrong rank or in the wrong order are refused") {
  CHECK(refusal("0F0 0F0 0B0\n1F0 1B0") == "schedule: rank 0, action 2 of 3 (0F0): stands twice");
  CHECK(testing::has(refusal("0B0 0F0\n1F0 1B0"), "rank 0, action 1 of 2 (0B0): stands before its forward"));
  CHECK(testing::has(refusal("0F0 0W0 0I0"), "action 2 of 3 (0W0): the gradient of the weights stands before"));
  CHECK(testing::has(refusal("0F0 0B0 0W0"),
                     "(0W0): the backward of this stage and micro-batch is whole (B) or in halves"));
  CHECK(testing::has(refusal("0F0 0I0 0B0"), "(0B0): the backward of this stage"));
  CHECK(testing::has(refusal("0F0 0F1 0B0 0I1"),
                     "rank 0 lacks the backward of the weights of micro-batch 1 at stage 0 (0W1)"));
  CHECK(testing::has(refusal("0F0 0B0 0F1 1F0\n1B0 1F1 1B1 0B1"), "stage 1 is on rank 0 already"));
  CHECK(testing::has(refusal("0F0 0F1 0I0 0W0"), "rank 0 lacks the backward of micro-batch 1 at stage 0 (0B1)"));
  CHECK(testing::has(refusal("0F0 0B0 0F1 0B1\n2F0 2B0 2F1 2B1 0F2 0B2 0F3 0B3"), "need at least 24 actions"));
  CHECK(testing::has(refusal("0F999999 7F0"), "actions"));
}

TEST_CASE("weight gradients out of the order of micro-batches are refused: they would be added in another order") {
  CHECK(testing::has(refusal("0F0 0F1 0B1 0B0"),
                     "rank 0, action 3 of 4 (0B1): the next gradient of the weights of stage 0 is that of "
                     "micro-batch 0"));
  CHECK(refusal("0F1 0F0 0I1 0I0 0W0 0W1") == "not refused");  // nothing is added in forward and in the input's half
}

TEST_CASE("a schedule that would deadlock is refused, naming the circle") {
  const std::string text = refusal("0F0 0B0 0F1 0B1\n1F0 1F1 1B0 1B1");
  CHECK(text ==
        "schedule: it would deadlock: rank 0, action 2 of 4 (0B0) waits for 1B0 of rank 1; rank 1, action 2 of 4 (1F1) "
        "waits for 0F1 of rank 0");
  CHECK(testing::has(refusal("1F0 0F0 1B0 0B0"), "(1F0) waits for its own 0F0, which stands later"));
}

TEST_CASE("a third gradient on its way waits until the first is taken, and a circle of that is found") {
  // Rank 1 makes three gradients before the forward without which, by way of rank 2, rank 0 does not come to take them.
  const std::string circle = refusal(
      "0F0 0F1 0F2 0F3 3F0 3F1 3F2 3B0 3B1 3B2 3F3 3B3 0B0 0B1 0B2 0B3\n"
      "1F0 1F1 1F2 1B0 1B1 1B2 1F3 1B3\n"
      "2F0 2F1 2F2 2B0 2B1 2B2 2F3 2B3");
  CHECK(
      circle ==
      "schedule: it would deadlock: rank 0, action 11 of 16 (3F3) waits for 2F3 of rank 2; rank 2, action 7 of 8 (2F3) "
      "waits for 1F3 of rank 1; rank 1, action 6 of 8 (1B2) waits for rank 0 to take the gradient that its own 1B0 made");
  // One less: it runs.
  CHECK(refusal("0F0 0F1 0F2 3F0 3F1 3B0 3B1 3F2 3B2 0B0 0B1 0B2\n"
                "1F0 1F1 1B0 1B1 1F2 1B2\n"
                "2F0 2F1 2B0 2B1 2F2 2B2") == "not refused");
}

TEST_CASE("a schedule that holds more activations than there is room for is refused") {
  CHECK(check(one_forward_one_backward(4, 16), {.peak_limit = 4}).peak_of_rank[0] == 4);
  const Error error = testing::error_of([] { check(gpipe(4, 16), {.peak_limit = 4}); });
  CHECK(
      testing::has(error.message, "rank 0 would hold the activations of 16 micro-batches at once, and the limit is 4"));
}
