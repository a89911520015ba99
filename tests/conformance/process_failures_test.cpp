// SPDX-License-Identifier: Apache-2.0
// Cases that fail, to show that what goes wrong in one process fails all of them.
#include "conformance/case_world.hpp"
#include "conformance/complaints.hpp"
#include "conformance/over_processes.hpp"

#include <catch2/catch.hpp>

#include <stdexcept>

using namespace trireme;
using namespace trireme::testing;

namespace {

std::string one_all_reduce(CaseWorld& world) {
  std::vector<float> data(1000, 1.0f);
  world.communicator().all_reduce(std::span(data));
  return data[999] == static_cast<float>(world.size()) ? "" : "sum";
}

}  // namespace

TEST_CASE("what one rank finds wrong fails on every process", "[.fails]") {
  const auto found = run_case(2, [](CaseWorld& world) { return std::string(world.rank() == 1 ? "wrong" : ""); });
  REQUIRE(joined(found) == "");
}

TEST_CASE("a process that fails by itself is named to those that wait for it", "[.diverges]") {
  REQUIRE(ProcessWorld::get().rank() != 1);
  REQUIRE(joined(run_case(4, one_all_reduce)) == "");
}

TEST_CASE("a rank that throws in the middle of a case is named to the others", "[.throws]") {
  const auto found = run_case(4, [](CaseWorld& world) {
    if (world.rank() == 1) throw std::runtime_error("out of cheese");
    return one_all_reduce(world);
  });
  REQUIRE(joined(found) == "");
}

// The next two are alike but for their names. Alone each of them holds; processes that run the one must not take the
// findings of those that run the other for their own.
TEST_CASE("one of two cases that are alike", "[.one]") { REQUIRE(joined(run_case(4, one_all_reduce)) == ""); }

TEST_CASE("the other of two cases that are alike", "[.other]") { REQUIRE(joined(run_case(4, one_all_reduce)) == ""); }
