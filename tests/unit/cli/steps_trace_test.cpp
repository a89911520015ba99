// SPDX-License-Identifier: Apache-2.0
#include "cli/train/steps_trace.hpp"

#include <catch2/catch.hpp>

using trireme::cli::trace_path;

TEST_CASE("A world of one writes the trace where it was asked to, several ranks one file each") {
  CHECK(trace_path("trace.json", 0, 1) == "trace.json");
  CHECK(trace_path("trace.json", 0, 2) == "trace.rank0.json");
  CHECK(trace_path("/some.dir/trace", 13, 16) == "/some.dir/trace.rank13");
  CHECK(trace_path("a.b.json", 1, 2) == "a.b.rank1.json");
}

TEST_CASE("Without the flag there is no recorder") {
  trireme::cli::StepsTrace none(std::nullopt, 0, 2, "host");
  CHECK(none.recorder() == nullptr);
}
