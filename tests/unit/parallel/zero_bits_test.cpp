// SPDX-License-Identifier: Apache-2.0
// The stages of ZeRO change no bit: for every rule, on any number of ranks, with leaves in blocks or dealt out.
#include "support/stride.hpp"
#include "unit/optim/rules.hpp"
#include "zero_field.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using namespace trireme::testing;

namespace {

void require_bits(const std::vector<std::string>& expected, const ZeroWay& way, const std::string& rule,
                  const MakeOptimizer& make = make_decaying_adamw) {
  INFO(rule << ", " << way.describe());
  const auto ends = trained_by(way, mixed_parameters(), make);
  for (const std::string& end : ends) REQUIRE((end == expected.front()));
}

const std::vector<int> rank_counts = thinned({1, 2, 3, 4, 8}, {2, 3});
bool is_tried(const NamedRule& rule) {
  return !is_thin || rule.name == "adamw" || rule.name == "lamb" || rule.name == "adafactor";
}

bool power_of_two(int number) { return (number & (number - 1)) == 0; }

bool sees_whole_tensors(const NamedRule& rule) { return rule.make()->scope() == UpdateScope::tensor; }

void require_rule(const NamedRule& rule, int ranks, int leaves, const std::string& transport) {
  const auto expected = trained_by({.ranks = ranks, .leaves = leaves}, mixed_parameters(), rule.make);
  for (const int stage : {1, 2}) {
    for (const LeafAssignment assignment : {LeafAssignment::block, LeafAssignment::cyclic}) {
      if (assignment == LeafAssignment::cyclic && !power_of_two(ranks)) continue;
      const ZeroWay way{.ranks = ranks,
                        .stage = stage,
                        .assignment = assignment,
                        .leaves = leaves,
                        .whole = sees_whole_tensors(rule),
                        .access = stage == 2 && leaves == 8,
                        .transport = transport};
      require_bits(expected, way, rule.name, rule.make);
    }
  }
}

}  // namespace

TEST_CASE("every rule ends with stage 0's bits at stages 1 and 2, with leaves in blocks or in turn") {
  for (const NamedRule& rule : all_rules()) {
    if (!is_tried(rule)) continue;
    const auto alone = trained_by({}, mixed_parameters(), rule.make);
    const bool whole = sees_whole_tensors(rule);
    require_bits(alone, {.ranks = 3, .stage = 1, .whole = whole}, rule.name, rule.make);
    require_bits(alone, {.ranks = 4, .stage = 2, .assignment = LeafAssignment::cyclic, .whole = whole, .access = true},
                 rule.name, rule.make);
  }
}

TEST_CASE("stages, leaves and numbers of ranks in every combination end with one rank's bits") {
  const auto alone = trained_by({}, mixed_parameters());
  for (const int ranks : rank_counts) {
    for (const int stage : {0, 1, 2}) {
      for (const LeafAssignment assignment : {LeafAssignment::block, LeafAssignment::cyclic}) {
        if (assignment == LeafAssignment::cyclic && !power_of_two(ranks)) continue;
        require_bits(alone, {.ranks = ranks, .stage = stage, .assignment = assignment, .access = stage == 2}, "adamw");
      }
    }
  }
}

TEST_CASE("with one leaf per rank, stages 1 and 2 end with stage 0's bits") {
  for (const int ranks : rank_counts) {
    const auto expected = trained_by({.ranks = ranks, .leaves = 0}, mixed_parameters());
    for (const int stage : {1, 2}) {
      for (const bool overlap : thinned({true, false}, {true})) {
        require_bits(expected, {.ranks = ranks, .stage = stage, .leaves = 0, .overlap = overlap}, "adamw");
      }
    }
    require_bits(expected, {.ranks = ranks, .stage = 2, .leaves = 0, .access = true}, "adamw");
    require_bits(expected, {.ranks = ranks, .stage = 1, .leaves = 0, .views = true}, "adamw");
  }
}

TEST_CASE("shared memory, units, bucket sizes, bucket views and no overlap change no bit of the stages") {
  const auto alone = trained_by({}, mixed_parameters());
  const auto cyclic = LeafAssignment::cyclic;
  for (const int ranks : thinned({2, 4}, {2})) {
    for (const int stage : {1, 2}) {
      require_bits(alone, {.ranks = ranks, .stage = stage, .transport = "shm"}, "adamw");
      require_bits(alone, {.ranks = ranks, .stage = stage, .assignment = cyclic, .transport = "shm"}, "adamw");
    }
    require_bits(alone, {.ranks = ranks, .stage = 1, .assignment = cyclic, .overlap = false}, "adamw");
    require_bits(alone, {.ranks = ranks, .stage = 2, .assignment = cyclic, .overlap = false}, "adamw");
    require_bits(alone, {.ranks = ranks, .stage = 1, .views = true}, "adamw");
    require_bits(alone, {.ranks = ranks, .stage = 1, .assignment = cyclic, .views = true}, "adamw");
    require_bits(alone, {.ranks = ranks, .stage = 2, .access = true, .bucket_bytes = 64}, "adamw");
    require_bits(alone,
                 {.ranks = ranks,
                  .stage = 2,
                  .assignment = cyclic,
                  .access = true,
                  .units = {{"parameter0", "parameter6"}, {"parameter1*", "parameter3"}}},
                 "adamw");
  }
}

TEST_CASE("groups that share shards, replicated, end with stage 0's bits, whether or not they are subtrees") {
  const auto alone = trained_by({}, mixed_parameters());
  for (const int stage : {1, 2}) {
    for (const auto& [ranks, group] : thinned({std::pair(4, 2), std::pair(8, 2), std::pair(6, 2), std::pair(6, 3)},
                                              {std::pair(4, 2), std::pair(6, 3)}))
      require_bits(alone, {.ranks = ranks, .stage = stage, .group = group, .access = stage == 2}, "adamw");
    require_bits(alone, {.ranks = 4, .stage = stage, .assignment = LeafAssignment::cyclic, .group = 2}, "adamw");
    require_bits(alone, {.ranks = 4, .stage = stage, .group = 1}, "adamw");
  }
  for (const int group : {2, 3}) {
    const auto six = trained_by({.ranks = 6, .leaves = 0}, mixed_parameters());
    require_bits(six, {.ranks = 6, .stage = 1, .leaves = 0, .group = group}, "adamw");
    require_bits(six, {.ranks = 6, .stage = 2, .leaves = 0, .group = group}, "adamw");
  }
}

TEST_CASE("every rule, stage, assignment, number of ranks and leaves, over threads and shared memory", "[.full]") {
  for (const NamedRule& rule : all_rules()) {
    const bool is_one_of_a_scope = rule.name == "adamw" || rule.name == "lamb" || rule.name == "muon";
    for (const int ranks : {1, 2, 3, 4, 8}) {
      for (const int leaves : {0, 8}) {
        require_rule(rule, ranks, leaves, "mem");
        if (is_one_of_a_scope) require_rule(rule, ranks, leaves, "shm");
      }
    }
  }
}
