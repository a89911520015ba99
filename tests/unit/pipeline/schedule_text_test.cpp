// SPDX-License-Identifier: Apache-2.0
#include "trireme/pipeline/schedule_text.hpp"

#include "support/failures.hpp"
#include "support/temporary_folder.hpp"
#include "trireme/pipeline/check.hpp"
#include "trireme/pipeline/generate.hpp"

#include <catch2/catch.hpp>

#include <fstream>
#include <string>

using namespace trireme;
using namespace trireme::pipeline;

namespace {

std::string parse_error(const std::string& text) {
  return testing::error_of([&] { (void)parse_schedule(text, "my.txt"); }).message;
}

}  // namespace

TEST_CASE("a schedule's text is a line per rank, and reading it gives the schedule") {
  CHECK(to_text(one_forward_one_backward(2, 2)) == "rank 0: 0F0 0F1 0B0 0B1\nrank 1: 1F0 1B0 1F1 1B1\n");
  for (const std::string& name : schedule_names()) {
    const Schedule schedule =
        make_schedule(name, {.ranks = 3, .micro_batches = 5, .chunks = name == "interleaved" ? 2 : 1});
    CHECK(parse_schedule(to_text(schedule), name) == schedule);
  }
}

TEST_CASE("a table of comma-separated actions with empty cells and comments is a schedule too") {
  const Schedule schedule =
      parse_schedule("# two stages\r\n0F0,0F1,,0B0, 0B1\n\n1F0,,1B0,1F1,1B1 # the last\n", "table");
  CHECK(schedule == parse_schedule("rank 0: 0F0 0F1 0B0 0B1\nrank 1: 1F0 1B0 1F1 1B1", "lines"));
  CHECK(schedule.stages == 2);
  CHECK(schedule.micro_batches == 2);
  CHECK(check(schedule).messages == 4);
}

TEST_CASE("a rank with an empty line has its place and is refused by the check, an empty text too") {
  CHECK(parse_schedule("rank 0: 0F0 0B0\nrank 1:\n", "text").ranks.size() == 2);
  CHECK(testing::has(testing::error_of([] { check(parse_schedule("rank 0: 0F0 0B0\nrank 1:\n", "text")); }).message,
                     "rank 1 does nothing"));
  CHECK(testing::has(testing::error_of([] { check(parse_schedule("", "text")); }).message, "no rank does anything"));
}

TEST_CASE("an error of a text names line and column and what was expected") {
  CHECK(parse_error("rank 0: 0F0\nrank 1: 1F0 1X0") ==
        "my.txt, line 2, column 14: expected F, B, I or W after the number of the stage");
  CHECK(testing::has(parse_error("rank 0: 0F0 F1"), "line 1, column 13: expected an action, as 2F5"));
  CHECK(testing::has(parse_error("0F"), "line 1, column 3: expected the number of a micro-batch"));
  CHECK(testing::has(parse_error("0F0;0F1"), "column 4: expected a blank or a comma"));
  CHECK(testing::has(parse_error("0F0 0F10000000"), "column 13: expected the number of a micro-batch below 1000000"));
  CHECK(testing::has(parse_error("rank 1: 0F0"), "column 6: expected rank 0: ranks stand in order"));
  CHECK(testing::has(parse_error("rank 0 0F0"), "column 8: expected ':' after the number of the rank"));
  CHECK(testing::has(parse_error("rank: 0F0"), "column 5: expected a blank after 'rank'"));
  CHECK(testing::has(parse_error("0F-1"), "column 3"));
}

TEST_CASE("a schedule comes from a file, whose absence is named") {
  const testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/schedule.txt";
  std::ofstream(path) << to_text(zero_bubble_v(2, 3));
  CHECK(read_schedule(path) == zero_bubble_v(2, 3));
  const Error missing = testing::error_of([&] { (void)read_schedule(path + ".not"); });
  CHECK(missing.code == ErrorCode::system);
  CHECK(testing::has(missing.message, path + ".not"));
}
