// SPDX-License-Identifier: Apache-2.0
#include "unit/plan/cases.hpp"
#include "unit/plan/graph_check.hpp"

#include <catch2/catch.hpp>

namespace trireme::plan::proof {
namespace {

/// Whether steps name several blocks, so that the graph cannot be run segment by segment.
bool names_runs(const Case& each) {
  const auto [algorithm, shape] = each;
  if (shape.ranks == 1) return false;
  if (algorithm == Algorithm::halving_doubling) return shape.ranks > 2;
  if (algorithm == Algorithm::bruck) return shape.ranks > 3;
  return algorithm == Algorithm::tree &&
         (shape.collective == Collective::gather || shape.collective == Collective::scatter);
}

TEST_CASE("Steps that share memory are ordered by depends_on, without one wait too many") {
  for (int ranks = 1; ranks <= most_ranks; ++ranks) {
    for (const Case& each : all_cases(ranks)) {
      if (each.shape.collective == Collective::barrier) continue;  // moves nothing
      const bool tree = each.algorithm == Algorithm::tree && each.shape.collective == Collective::all_reduce;
      if (each.shape.leaves != ranks && !tree) continue;  // leaves change the sum's program only
      if (ranks > 12 && each.shape.root > 1) continue;
      const int stride = ranks > 12 && !tree ? 16 : 1;  // the graphs of direct and ring differ by a rotation only
      for (int rank = ranks % stride; rank < ranks; rank += stride) {
        const Plan plan = make_plan(each.algorithm, each.shape, rank);
        CHECK(broken_promise(each, [&] { check_graph(plan); }) == "");
        CHECK(plan.loopable == !names_runs(each));
      }
    }
  }
}

TEST_CASE("A plan says what it was made for") {
  const Shape shape{Collective::all_reduce, 3, 8, 0};
  for (Algorithm algorithm : {Algorithm::direct, Algorithm::tree, Algorithm::ring}) {
    const Plan plan = make_plan(algorithm, shape, 2);
    CHECK(plan.algorithm == algorithm);
    CHECK(plan.shape == shape);
    CHECK(plan.canonical == (algorithm != Algorithm::ring));
    CHECK(plan.blocks == (algorithm == Algorithm::tree ? 2 : 3));
    CHECK(plan.mine.input_blocks == BlockRange{0, plan.blocks});
    CHECK(plan.mine.output_blocks == BlockRange{0, plan.blocks});
  }
  CHECK(make_plan(Algorithm::direct, {Collective::reduce_scatter, 3, 3, 0}, 2).mine.output_blocks == BlockRange{2, 1});
  CHECK(make_plan(Algorithm::ring, {Collective::all_gather, 3, 3, 0}, 1).mine.input_blocks == BlockRange{1, 1});
}

TEST_CASE("One rank alone copies its input, divided where the operation divides") {
  for (const Case& each : all_cases(1)) {
    const Plan plan = make_plan(each.algorithm, each.shape, 0);
    const Collective collective = each.shape.collective;
    if (collective == Collective::broadcast || collective == Collective::barrier) {
      CHECK(plan.mine.steps.empty());
      continue;
    }
    REQUIRE(plan.mine.steps.size() == 1);
    CHECK(plan.mine.steps[0].kind == StepKind::copy);
    const bool adds = collective == Collective::all_reduce || collective == Collective::reduce_scatter ||
                      collective == Collective::reduce;
    CHECK(plan.mine.steps[0].finalize == adds);
  }
}

TEST_CASE("Where one rank gives or gets, the others have no input or no output") {
  for (Algorithm algorithm : {Algorithm::rooted, Algorithm::tree}) {
    for (int rank = 0; rank < 4; ++rank) {
      const bool root = rank == 2;
      const auto plan = [&](Collective collective) { return make_plan(algorithm, {collective, 4, 4, 2}, rank).mine; };
      CHECK(plan(Collective::reduce).input_blocks == BlockRange{0, 1});
      CHECK(plan(Collective::reduce).output_blocks == BlockRange{0, root ? 1 : 0});
      CHECK(plan(Collective::gather).input_blocks == BlockRange{rank, 1});
      CHECK(plan(Collective::gather).output_blocks == BlockRange{0, root ? 4 : 0});
      CHECK(plan(Collective::scatter).input_blocks == BlockRange{0, root ? 4 : 0});
      CHECK(plan(Collective::scatter).output_blocks == BlockRange{rank, 1});
    }
  }
}

TEST_CASE("With 2, 1 and 1 leaves the tree sends rank 2's contribution to rank 1 first") {
  const Plan plan = make_plan(Algorithm::tree, {Collective::all_reduce, 3, 4, 0}, 1);
  const Step& first = plan.mine.steps.at(0);  // half 0: r1 + r2 on rank 1
  CHECK(first.kind == StepKind::recv);
  CHECK(first.peer == 2);
  CHECK(first.wire == Role::input);
  const Step& sum = plan.mine.steps.at(1);
  CHECK(sum.kind == StepKind::load_reduce);
  CHECK(sum.sources.at(0) == Operand{Space::input, 0, Role::input});
  CHECK(sum.program == std::vector<std::int16_t>{0, 1, -1});
  CHECK_FALSE(sum.finalize);
}

TEST_CASE("Blocks and segments cover every element once, also when there are fewer elements than blocks") {
  for (std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{5}, std::size_t{64}, std::size_t{1001}}) {
    for (int blocks : {1, 2, 3, 7, 64}) {
      for (int segments : {1, 2, 5}) {
        std::size_t next = 0;
        for (int block = 0; block < blocks; ++block) {
          for (int segment = 0; segment < segments; ++segment) {
            const auto range = elements_of({block, 1}, count, blocks, segments, segment);
            CHECK(range.begin == next);
            CHECK(range.end >= range.begin);
            next = range.end;
          }
        }
        CHECK(next == count);
      }
    }
  }
  CHECK(elements_of({1, 2}, 10, 4) == layout::Interval{2, 7});
}

}  // namespace
}  // namespace trireme::plan::proof
