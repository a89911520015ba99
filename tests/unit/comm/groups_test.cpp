// SPDX-License-Identifier: Apache-2.0
// An all_reduce by groups, as far as it needs no flags: who is in a group, the brackets, the traffic, the bits.
#include "comm/shared/grouped.hpp"
#include "support/exact_inputs.hpp"

#include <catch2/catch.hpp>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

using namespace trireme;
using comm::shared::combine_reach;
using comm::shared::GroupedWork;
using comm::shared::Groups;
using comm::shared::groups_of;
using comm::shared::keeps_partials;
using comm::shared::part_of;
using comm::shared::reduce_reach;
using comm::shared::Sight;
using comm::shared::spread_reach;
using comm::shared::two_levels;
using layout::ReductionTree;

namespace {

/// "((0+1)+2)": what a postfix program computes, with `names` for its tokens.
std::string expression(std::span<const std::int16_t> program, const std::vector<std::string>& names) {
  std::vector<std::string> stack;
  for (const auto token : program) {
    if (token != ReductionTree::combine) {
      stack.push_back(names[static_cast<std::size_t>(token)]);
      continue;
    }
    const std::string right = stack.back();
    stack.pop_back();
    stack.back() = "(" + stack.back() + "+" + right + ")";
  }
  REQUIRE(stack.size() == 1);
  return stack.back();
}

std::vector<std::string> ranks_from(std::size_t first, std::size_t count) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < count; ++i) names.push_back(std::to_string(first + i));
  return names;
}

bool has_groups(const std::vector<int>& domains) { return groups_of(domains).groups.has_value(); }

comm::Request all_reduce_of(DType dtype, std::size_t count, ReduceOp op, int ranks, int leaves) {
  comm::Request request;
  request.input = {nullptr, count, dtype};
  request.output = {nullptr, count, dtype};
  request.op = op;
  request.ranks = ranks;
  request.leaves = leaves;
  return request;
}

}  // namespace

TEST_CASE("groups are two or more caches with equally many consecutive ranks each, two at least") {
  REQUIRE(groups_of(std::vector{5, 5, 3, 3}).groups == Groups{2, 2});
  REQUIRE(groups_of(std::vector{0, 0, 0, 0, 1, 1, 1, 1}).groups == Groups{2, 4});
  REQUIRE(groups_of(std::vector{0, 0, 1, 1, 2, 2}).groups == Groups{3, 2});
  REQUIRE(groups_of(std::vector{0, 0, 1, 1}).why == "4 ranks in 2 cache domains");
  REQUIRE(groups_of(std::vector{0, 0}).why == "2 ranks in 1 cache domain");
  REQUIRE(groups_of(std::vector{0, 1, 0, 1}).why == "4 ranks in 2 cache domains, not one domain after the other");
  REQUIRE(groups_of(std::vector{0, 0, 0, 1}).why == "4 ranks in 2 cache domains, not equally many in each");
  REQUIRE(groups_of(std::vector{0, 1}).why == "2 ranks in 2 cache domains, one in each");
  for (const auto& none : std::vector<std::vector<int>>{{},
                                                        {0},
                                                        {0, 0, 1},
                                                        {0, 1, 1},
                                                        {0, 0, 1, 1, 1},
                                                        {0, 1, 1, 2, 2},
                                                        {0, 0, 1, 1, 2},
                                                        {0, 0, -1, 1},
                                                        {-1, -1},
                                                        {0, 0, 1, 1, 0, 0}}) {
    CAPTURE(none);
    REQUIRE(!has_groups(none));
  }
  REQUIRE(groups_of(std::vector{0, 0, -1, 1}).why.find("rank 2") != std::string::npos);
}

TEST_CASE("two levels make exactly the contracted tree, wherever every group is a subtree of it") {
  int defined = 0;
  for (std::size_t count = 2; count <= 5; ++count) {
    for (std::size_t size = 2; size <= 8; ++size) {
      const Groups groups{count, size};
      const auto ranks = static_cast<int>(count * size);
      for (int leaves = ranks; leaves <= 4 * ranks; ++leaves) {
        const auto tree = ReductionTree::contracted(leaves, ranks);
        CAPTURE(count, size, leaves);
        const bool is_power = tree.equal_power_of_two_blocks() && (size & (size - 1)) == 0;
        const bool made = two_levels(tree, groups, 0).has_value();
        if (is_power) REQUIRE(made);
        if (!made) continue;
        ++defined;
        std::vector<std::string> partials;
        std::string across;
        for (std::size_t g = 0; g < count; ++g) {
          const auto levels = two_levels(tree, groups, g);
          REQUIRE(levels);
          partials.push_back(expression(levels->within, ranks_from(g * size, size)));
        }
        REQUIRE(expression(two_levels(tree, groups, count - 1)->across, partials) ==
                expression(tree.postfix(), ranks_from(0, count * size)));
      }
    }
  }
  REQUIRE(defined > 20);
  REQUIRE(!two_levels(ReductionTree::contracted(6, 6), {2, 3}, 0));   // 4 + 2: three ranks are no subtree
  REQUIRE(two_levels(ReductionTree::contracted(12, 12), {3, 4}, 2));  // (4 + 4) + 4
}

TEST_CASE("types whose partial results would be rounded take one level") {
  for (const DType type :
       {DType::f64, DType::f32, DType::i64, DType::i32, DType::i8, DType::u64, DType::u32, DType::u8})
    REQUIRE(keeps_partials(all_reduce_of(type, 1, sum, 4, 4)));
  for (const DType type : {DType::f16, DType::bf16, DType::f8e4m3, DType::f8e5m2})
    REQUIRE(!keeps_partials(all_reduce_of(type, 1, sum, 4, 4)));
}

TEST_CASE("by groups a rank reads and writes 2 n/L (G-1)/G bytes in other groups, L times less than in one level") {
  constexpr std::size_t element = 4;
  for (const Groups groups : {Groups{2, 2}, Groups{2, 4}, Groups{4, 2}, Groups{4, 4}, Groups{8, 8}, Groups{3, 4}}) {
    const std::size_t ranks = groups.count * groups.size;
    const std::size_t count = ranks * groups.size * 1024;  // divides evenly: the formula holds to the byte
    const std::size_t bytes = count * element;
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      std::size_t here = 0, elsewhere = 0;
      const auto touch = [&](std::size_t other, layout::Interval range) {
        (other / groups.size == rank / groups.size ? here : elsewhere) += range.size() * element;
      };
      for (const auto& reach : {reduce_reach(groups, rank, count, element), combine_reach(groups, rank, count, element),
                                spread_reach(groups, rank, count, element)}) {
        for (std::size_t i = 0; i < reach.from.count; ++i) touch(reach.from[i], reach.range);
        for (std::size_t i = 0; i < reach.to.count; ++i) touch(reach.to[i], reach.range);
      }
      const std::size_t outside = groups.count - 1;
      REQUIRE(elsewhere * groups.size * groups.count == 2 * bytes * outside);
      // In all: n in and n/L out, the shares in and out, the part in and to all (the own copy is not made).
      REQUIRE(here + elsewhere == bytes + bytes / groups.size + 2 * bytes / groups.size + bytes / groups.size + bytes);
      std::size_t flat = 0;
      const auto part = part_of(count, element, ranks, rank);
      for (std::size_t other = 0; other < ranks; ++other) {
        if (other / groups.size != rank / groups.size) flat += 2 * part.size() * element;
      }
      REQUIRE(flat == groups.size * elsewhere);
    }
  }
}

TEST_CASE("every element is reduced once in each group, combined once, and spread to all") {
  const Groups groups{2, 4};
  for (const std::size_t element : {1u, 4u, 8u}) {
    for (const std::size_t count : {0u, 1u, 7u, 8u, 9u, 64u, 1009u, 65537u}) {
      std::vector<int> combined(count), spread(count * 8);
      for (std::size_t rank = 0; rank < 8; ++rank) {
        const auto share = combine_reach(groups, rank, count, element).range;
        for (std::size_t i = share.begin; i < share.end; ++i) ++combined[i];
        const auto reach = spread_reach(groups, rank, count, element);
        REQUIRE(reach.range == reduce_reach(groups, rank, count, element).range);
        REQUIRE(reach.range.begin <= share.begin);
        REQUIRE(share.end <= reach.range.end);
        for (std::size_t k = 0; k < reach.to.count; ++k) {
          for (std::size_t i = reach.range.begin; i < reach.range.end; ++i) ++spread[reach.to[k] * count + i];
        }
      }
      REQUIRE(combined == std::vector<int>(count, 1));
      REQUIRE(spread == std::vector<int>(count * 8, 1));
    }
  }
}

TEST_CASE(
    "a rank waits for its neighbours to come, for its counterparts until its part is final, then for its neighbours") {
  using comm::shared::Cell;
  const comm::shared::Grouped grouped({2, 2}, 0, 0);  // neighbour 1, counterpart 2, and 3 is neither
  const auto cell = std::make_unique<Cell>();
  comm::shared::GroupedStages stages(10, 12);
  const auto waits_for = [&] {
    std::vector<std::size_t> ranks;
    for (std::size_t r = 1; r < 4; ++r) {
      if (grouped.lacks(r, *cell, 3, stages)) ranks.push_back(r);
    }
    return ranks;
  };
  REQUIRE(waits_for() == std::vector<std::size_t>{1});  // for its neighbour to come to operation 3 at all
  cell->finished = 3;
  stages.to_reduce = 12;
  cell->filled = 10;
  REQUIRE(waits_for() == std::vector<std::size_t>{2});  // for its partial
  cell->filled = 12;
  stages.to_combine = 12;
  cell->reduced = 10;
  REQUIRE(waits_for() == std::vector<std::size_t>{2});  // for its share of the own part
  cell->reduced = 12;
  REQUIRE(waits_for().empty());
  stages.to_spread = 12;
  REQUIRE(waits_for() == std::vector<std::size_t>{1});  // for its part
  cell->spread = 12;
  REQUIRE(waits_for().empty());
}

TEMPLATE_TEST_CASE("in two levels every rank gets the bytes of one pass over all contributions", "[sequential]", double,
                   float, std::int64_t, std::uint8_t) {
  using T = TestType;
  constexpr DType type = dtype_of<T>;
  struct Shape {
    Groups groups;
    int leaves;
  };
  const bool in_place = GENERATE(false, true);
  for (const auto& [groups, leaves] : {Shape{{2, 2}, 4}, Shape{{2, 4}, 16}, Shape{{4, 2}, 8}, Shape{{3, 4}, 12}}) {
    const std::size_t ranks = groups.count * groups.size;
    for (const std::size_t count : std::vector<std::size_t>{0, 1, ranks - 1, ranks, ranks + 1, 61, 1009, 20011}) {
      for (const ReduceOp op : {sum, minimum, maximum, average}) {
        if (op.kind == ReduceKind::average && !is_floating(type)) continue;
        CAPTURE(groups.count, groups.size, leaves, count, static_cast<int>(op.kind), in_place);
        std::vector<std::vector<T>> in(ranks), out(ranks, std::vector<T>(count));
        for (std::size_t r = 0; r < ranks; ++r) {
          for (std::size_t i = 0; i < count; ++i) in[r].push_back(testing::rough_value<T>(static_cast<int>(r), i));
        }
        const auto request = all_reduce_of(type, count, op, static_cast<int>(ranks), leaves);
        const auto bytes = [](std::vector<T>& v) { return reinterpret_cast<std::byte*>(v.data()); };
        const double divisor = comm::divisor_of(request);
        std::vector<T> expected(count);
        comm::shared::Work flat(ranks);
        std::vector<Sight> sights(ranks);
        for (std::size_t r = 0; r < ranks; ++r) sights[r] = {bytes(in[r]), nullptr};
        flat.whole(request, sights, 0, divisor, bytes(expected));

        for (std::size_t r = 0; r < ranks; ++r) sights[r].output = bytes(in_place ? in[r] : out[r]);
        std::vector<GroupedWork> work;
        for (std::size_t r = 0; r < ranks; ++r) work.emplace_back(groups, r);
        for (auto& each : work) REQUIRE(each.fits(leaves));
        for (auto& each : work) each.reduce(request, sights, count);
        for (auto& each : work) each.combine(request, sights, count, divisor);
        for (auto& each : work) each.spread(request, sights, count);
        for (std::size_t r = 0; r < ranks; ++r) {
          const auto& result = in_place ? in[r] : out[r];
          REQUIRE((count == 0 || std::memcmp(result.data(), expected.data(), count * sizeof(T)) == 0));
        }
      }
    }
  }
}
