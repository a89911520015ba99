// SPDX-License-Identifier: Apache-2.0
#include "trireme/base/error.hpp"
#include "trireme/plan/cost.hpp"
#include "trireme/plan/plans.hpp"

#include <catch2/catch.hpp>

#include <string>

namespace trireme::plan {
namespace {

using Catch::Matchers::Contains;

/// The message with which make_plan and cost_of refuse.
std::string refusal(Algorithm algorithm, const Shape& shape, int rank = 0) {
  std::string of_plan;
  std::string of_cost;
  try {
    make_plan(algorithm, shape, rank);
  } catch (const Exception& exception) {
    CHECK(exception.error().code == ErrorCode::invalid_argument);
    of_plan = exception.error().message;
  }
  try {
    cost_of(algorithm, shape, rank, 10);
  } catch (const Exception& exception) {
    of_cost = exception.error().message;
  }
  CHECK(of_plan == of_cost);
  return of_plan;
}

TEST_CASE("Names of algorithms can be read back") {
  for (int value = 0; value < algorithm_count; ++value) {
    const auto algorithm = static_cast<Algorithm>(value);
    Algorithm read = algorithm == Algorithm::ring ? Algorithm::direct : Algorithm::ring;
    CHECK(parse_algorithm(name_of(algorithm), read));
    CHECK(read == algorithm);
  }
  Algorithm untouched = Algorithm::tree;
  CHECK_FALSE(parse_algorithm("Ring", untouched));
  CHECK_FALSE(parse_algorithm("", untouched));
  CHECK(untouched == Algorithm::tree);
  CHECK(name_of(Collective::reduce_scatter) == "reduce_scatter");
}

TEST_CASE("Canonical algorithms are told from those that are not") {
  const Shape four{Collective::all_reduce, 4, 8, 0};
  using List = std::vector<Algorithm>;
  using enum Algorithm;
  CHECK(defined_algorithms(four, true) == List{direct, recursive_doubling, tree, halving_doubling});
  CHECK(defined_algorithms(four, false) == List{direct, recursive_doubling, tree, halving_doubling, ring});
  CHECK(defined_algorithms({Collective::all_reduce, 4, 6, 0}, true) == List{direct, tree});
  CHECK(defined_algorithms({Collective::reduce_scatter, 4, 4, 0}, true) == List{direct});
  CHECK(defined_algorithms({Collective::all_gather, 4, 1, 0}, true) == List{ring, bruck, direct});
  CHECK(defined_algorithms({Collective::broadcast, 4, 1, 3}, true) == List{tree, double_tree, ring});
  CHECK(defined_algorithms({Collective::reduce, 5, 6, 4}, true) == List{rooted, tree});
  CHECK(defined_algorithms({Collective::reduce, 5, 6, 4}, false) == List{rooted, tree, double_tree});
  CHECK(defined_algorithms({Collective::gather, 4, 1, 3}, true) == List{rooted, tree});
  CHECK(defined_algorithms({Collective::scatter, 4, 1, 3}, true) == List{rooted, tree});
  CHECK(defined_algorithms({Collective::all_to_all, 4, 1, 0}, true) == List{direct});
  CHECK(defined_algorithms({Collective::barrier, 4, 1, 0}, true) == List{Algorithm::recursive_doubling});
  CHECK(defined_algorithms({Collective::barrier, 6, 1, 0}, true) == List{Algorithm::tree});
  CHECK(defined_algorithms({Collective::send_recv, 4, 4, 0}, false).empty());
  CHECK(definedness(Algorithm::ring, four).defined);
  CHECK_FALSE(definedness(Algorithm::ring, four).canonical);
  CHECK(definedness(Algorithm::direct, four).canonical);
  CHECK(definedness(Algorithm::direct, four).reason.empty());
}

TEST_CASE("An undefined combination is refused naming those that are defined") {
  CHECK_THAT(refusal(Algorithm::recursive_doubling, {Collective::all_reduce, 6, 8, 0}),
             Contains("recursive_doubling is not defined for all_reduce over 6 ranks with 8 leaves") &&
                 Contains("a power of two of ranks") && Contains("defined: direct, tree; not canonical: ring"));
  CHECK_THAT(refusal(Algorithm::recursive_doubling, {Collective::all_reduce, 4, 6, 0}),
             Contains("equally many leaves"));
  CHECK_THAT(refusal(Algorithm::tree, {Collective::reduce_scatter, 3, 3, 0}),
             Contains("tree is not an algorithm for reduce_scatter") && Contains("direct; not canonical: ring"));
  CHECK_THAT(refusal(Algorithm::direct, {Collective::broadcast, 3, 3, 0}), Contains("defined: tree"));
  CHECK_THAT(refusal(Algorithm::recursive_doubling, {Collective::barrier, 3, 3, 0}), Contains("defined: tree"));
  CHECK_THAT(refusal(Algorithm::tree, {Collective::barrier, 4, 4, 0}), Contains("defined: recursive_doubling"));
  CHECK_THAT(refusal(Algorithm::direct, {Collective::send_recv, 3, 3, 0}), Contains("send_recv has no plan"));
}

TEST_CASE("A malformed shape is refused naming what is wrong with it") {
  CHECK_THAT(refusal(Algorithm::direct, {Collective::all_reduce, 0, 1, 0}), Contains("over 0 ranks"));
  CHECK_THAT(refusal(Algorithm::direct, {Collective::all_reduce, -3, 1, 0}), Contains("over -3 ranks"));
  CHECK_THAT(refusal(Algorithm::ring, {Collective::all_gather, 40'000, 1, 0}), Contains("give 1 to 32767"));
  CHECK_THAT(refusal(Algorithm::tree, {Collective::all_reduce, 4, 3, 0}),
             Contains("4 ranks with 3 leaves") && Contains("every rank needs a leaf"));
  CHECK_THAT(refusal(Algorithm::ring, {Collective::reduce_scatter, 2, 0, 0}), Contains("2 ranks with 0 leaves"));
  CHECK_THAT(refusal(Algorithm::tree, {Collective::broadcast, 4, 4, 4}), Contains("root 4") && Contains("0 to 3"));
  CHECK_THAT(refusal(Algorithm::tree, {Collective::broadcast, 4, 4, -1}), Contains("root -1"));
  for (Collective collective : {Collective::reduce, Collective::gather, Collective::scatter}) {
    CHECK_THAT(refusal(Algorithm::tree, {collective, 4, 4, 4}), Contains("with root 4") && Contains("0 to 3"));
  }
  CHECK_THAT(refusal(Algorithm::tree, {Collective::reduce, 4, 3, 0}), Contains("every rank needs a leaf"));
  CHECK_THAT(refusal(Algorithm::direct, {Collective::all_reduce, 4, 4, 0}, 4),
             Contains("rank 4") && Contains("0 to 3"));
  CHECK_THAT(refusal(Algorithm::direct, {Collective::all_reduce, 4, 4, 0}, -1), Contains("rank -1"));
  CHECK(defined_algorithms({Collective::all_reduce, 4, 3, 0}, false).empty());
}

TEST_CASE("Leaves do not matter where nothing is reduced") {
  CHECK(definedness(Algorithm::ring, {Collective::all_gather, 5, 0, 0}).defined);
  CHECK(definedness(Algorithm::tree, {Collective::barrier, 5, 0, 0}).defined);
}

}  // namespace
}  // namespace trireme::plan
