// SPDX-License-Identifier: Apache-2.0
#include "comm/choose.hpp"

#include "support/failures.hpp"
#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <optional>
#include <string>

using namespace trireme;
using comm::ChoiceInput;
using comm::choose;
using plan::Algorithm;
using plan::Collective;

using testing::has;

namespace {

ChoiceInput all_reduce_of(std::size_t count, int ranks, int leaves = 0) {
  return {.shape = {.collective = Collective::all_reduce, .ranks = ranks, .leaves = leaves != 0 ? leaves : ranks},
          .count = count};
}

std::string refusal(const ChoiceInput& input) {
  try {
    choose(input);
  } catch (const Exception& caught) {
    REQUIRE(caught.error().code == ErrorCode::invalid_argument);
    return caught.error().message;
  }
  return "";
}

}  // namespace

TEST_CASE("a forced algorithm is taken where it is defined, whatever the size") {
  for (const auto algorithm : {Algorithm::direct, Algorithm::recursive_doubling, Algorithm::tree}) {
    for (const std::size_t count : {std::size_t{1}, std::size_t{10'000'000}}) {
      auto input = all_reduce_of(count, 4);
      input.forced = algorithm;
      REQUIRE(choose(input) == algorithm);
    }
  }
}

TEST_CASE("ring with the canonical order is refused by name and the others are offered") {
  auto input = all_reduce_of(1000, 4);
  input.forced = Algorithm::ring;
  const auto text = refusal(input);
  CAPTURE(text);
  REQUIRE(has(text, "ring"));
  REQUIRE(has(text, "canonical"));
  REQUIRE(has(text, "fastest"));
  REQUIRE(has(text, "direct"));
  REQUIRE(has(text, "tree"));
  REQUIRE(has(text, "recursive_doubling"));
  input.order = ReductionOrder::fastest;
  REQUIRE(choose(input) == Algorithm::ring);
}

TEST_CASE("an algorithm that is not defined for the world is refused, and only those that are defined are named") {
  auto input = all_reduce_of(1000, 3);
  input.forced = Algorithm::recursive_doubling;
  const auto text = refusal(input);
  CAPTURE(text);
  REQUIRE(has(text, "recursive_doubling is not defined"));
  REQUIRE(text.find("recursive_doubling") == text.rfind("recursive_doubling"));
  const auto offered = text.substr(text.find("defined are:"));
  REQUIRE(has(offered, "direct"));
  REQUIRE(has(offered, "tree"));
  REQUIRE(!has(offered, "recursive_doubling"));
  REQUIRE(!has(offered, "ring"));
}

TEST_CASE("what is chosen can be used: defined, and canonical unless the fastest order was asked for") {
  for (int ranks = 1; ranks <= 64; ++ranks) {
    for (const int leaves : {ranks, 64, 128}) {
      for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{4096}, std::size_t{100'000'000}}) {
        for (const bool network : {false, true}) {
          auto input = all_reduce_of(count, ranks, leaves);
          input.crosses_network = network;
          const auto canonical = plan::definedness(choose(input), input.shape);
          REQUIRE(canonical.defined);
          REQUIRE(canonical.canonical);
          input.order = ReductionOrder::fastest;
          REQUIRE(plan::definedness(choose(input), input.shape).defined);
        }
      }
    }
  }
}

TEST_CASE("every collective has an algorithm for any world") {
  for (const auto collective : {Collective::all_reduce, Collective::reduce_scatter, Collective::all_gather,
                                Collective::broadcast, Collective::barrier}) {
    for (int ranks = 1; ranks <= 64; ++ranks) {
      const ChoiceInput input{.shape = {.collective = collective, .ranks = ranks, .leaves = ranks, .root = ranks - 1},
                              .count = 100};
      REQUIRE(plan::definedness(choose(input), input.shape).defined);
    }
  }
}

TEST_CASE("small messages take few rounds, large ones little volume") {
  for (const bool network : {false, true}) {
    auto small = all_reduce_of(1, 8);
    small.crosses_network = network;
    const auto few = choose(small);
    auto large = all_reduce_of(50'000'000, 8);
    large.crosses_network = network;
    const auto lean = choose(large);
    CAPTURE(network, plan::name_of(few), plan::name_of(lean));
    REQUIRE(few != lean);
    REQUIRE((lean == Algorithm::direct || lean == Algorithm::halving_doubling));
    REQUIRE(plan::cost_of(few, small.shape, 0, 1).steps <= plan::cost_of(lean, large.shape, 0, 1).steps);
    REQUIRE(plan::cost_of(lean, large.shape, 0, large.count).payload_bytes <
            plan::cost_of(few, small.shape, 0, large.count).payload_bytes);
  }
}

TEST_CASE("the canonical order costs large all_reduces at most a twentieth more bytes or steps than the fastest") {
  // Of one leaf per rank and of two; f32, and 16 bits whose partial sums are f32.
  for (const int ranks : {2, 3, 4, 5, 8, 16, 32}) {
    for (const int leaves : {ranks, 2 * ranks}) {
      for (const plan::ElementBytes element : {plan::ElementBytes{4, 4, 4}, plan::ElementBytes{2, 4, 2}}) {
        for (const std::size_t count : {std::size_t{4'000'000}, std::size_t{50'000'000}}) {
          for (const bool network : {false, true}) {
            auto input = all_reduce_of(count, ranks, leaves);
            input.element = element;
            input.crosses_network = network;
            const auto canonical = choose(input);
            input.order = ReductionOrder::fastest;
            const auto fastest = choose(input);
            CAPTURE(ranks, leaves, element.input, count, network, plan::name_of(canonical), plan::name_of(fastest));
            std::size_t bytes = 0, least_bytes = 0;
            for (int rank = 0; rank < ranks; ++rank) {
              bytes = std::max(bytes, plan::cost_of(canonical, input.shape, rank, count, element).payload_bytes);
              least_bytes =
                  std::max(least_bytes, plan::cost_of(fastest, input.shape, rank, count, element).payload_bytes);
            }
            CHECK(20 * bytes <= 21 * least_bytes);
            CHECK(20 * plan::cost_of(canonical, input.shape, 0, count, element).steps <=
                  21 * plan::cost_of(fastest, input.shape, 0, count, element).steps);
          }
        }
      }
    }
  }
}

TEST_CASE("the explanation is one line that names the choice, its reason and the others") {
  auto input = all_reduce_of(1000, 4);
  const auto text = comm::explain_choice(input).text;
  CAPTURE(text);
  REQUIRE(has(text, "all_reduce of 1000 elements on 4 ranks"));
  REQUIRE(has(text, ": " + std::string(plan::name_of(choose(input)))));
  REQUIRE(has(text, "least predicted time"));
  REQUIRE(has(text, "ring not usable"));
  REQUIRE(std::count(text.begin(), text.end(), '\n') == 0);
  input.forced = Algorithm::tree;
  REQUIRE(has(comm::explain_choice(input).text, "tree, as asked for"));
}
