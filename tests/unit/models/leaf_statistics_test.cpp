// SPDX-License-Identifier: Apache-2.0
#include "trireme/models/leaf_statistics.hpp"

#include "support/failures.hpp"
#include "trireme/layout/reduction_tree.hpp"
#include "unit/models/labelled_samples.hpp"

#include <catch2/catch.hpp>

#include <cmath>

using namespace trireme;
using models::LeafStatistics;

namespace {

constexpr int all_leaves = 8;

double statistic(int leaf, std::size_t value) { return std::sin(1.0 + 3.0 * leaf + 0.7 * static_cast<double>(value)); }

/// The weighted sums of leaves [first, first + count), as a rank that owns them has them.
std::vector<double> sums_of(int first, int count, const std::vector<std::size_t>& weights) {
  LeafStatistics statistics(2, count);
  statistics.begin();
  for (int leaf = 0; leaf < count; ++leaf) {
    const std::size_t weight = weights[static_cast<std::size_t>(first + leaf)];
    const std::vector<double> found{statistic(first + leaf, 0), statistic(first + leaf, 1)};
    if (weight != 0) statistics.add(leaf, weight, found);
  }
  const auto sums = statistics.sums();
  return {sums.begin(), sums.end()};
}

}  // namespace

TEST_CASE("Sums of statistics over leaves have the same bits however the leaves are spread over ranks") {
  const auto weights =
      GENERATE(std::vector<std::size_t>{4, 4, 4, 4, 4, 4, 4, 4}, std::vector<std::size_t>{5, 6, 5, 6, 5, 5, 6, 5},
               std::vector<std::size_t>{0, 1, 0, 0, 0, 0, 0, 1}, std::vector<std::size_t>(8, 0));
  const auto expected = sums_of(0, all_leaves, weights);
  for (int ranks = 1; ranks <= all_leaves; ++ranks) {
    std::vector<std::vector<double>> stack;
    const auto blocks = layout::leaf_blocks(all_leaves, ranks);
    const auto tree = layout::ReductionTree::contracted(all_leaves, ranks);
    for (const std::int16_t token : tree.postfix()) {
      if (token != layout::ReductionTree::combine) {
        const auto block = blocks[static_cast<std::size_t>(token)];
        stack.push_back(sums_of(block.first, block.count, weights));
        continue;
      }
      const auto right = stack.back();
      stack.pop_back();
      for (std::size_t i = 0; i < right.size(); ++i) stack.back()[i] += right[i];
    }
    REQUIRE(stack.size() == 1);
    REQUIRE(testing::same_bits(stack.front(), expected));
  }
}

TEST_CASE("The mean of statistics is weighted by the samples of each leaf") {
  LeafStatistics statistics(2, 4);
  for (int step = 0; step < 2; ++step) {  // nothing of a step is left in the next
    statistics.begin();
    statistics.add(0, 1, std::vector<double>{10.0, 1.0});
    statistics.add(2, 3, std::vector<double>{2.0, -1.0});
    const auto sums = statistics.sums();
    REQUIRE(std::vector<double>(sums.begin(), sums.end()) == std::vector<double>{16.0, -2.0, 4.0});
    const auto means = statistics.means();
    REQUIRE(std::vector<double>(means.begin(), means.end()) == std::vector<double>{4.0, -0.5});
  }
}

TEST_CASE("A step without samples has no mean") {
  LeafStatistics statistics(1, 2);
  statistics.begin();
  CHECK(statistics.sums().size() == 2);
  CHECK(statistics.means().empty());
}

TEST_CASE("Statistics out of order or of another number are refused") {
  LeafStatistics statistics(1, 4);
  statistics.begin();
  statistics.add(1, 2, std::vector<double>{1.0});
  const auto refused = [&](int leaf, std::size_t count) {
    return testing::code_of([&] { statistics.add(leaf, 2, std::vector<double>(count)); }) ==
           ErrorCode::invalid_argument;
  };
  CHECK(refused(1, 1));
  CHECK(refused(0, 1));
  CHECK(refused(4, 1));
  CHECK(refused(2, 2));
  CHECK_FALSE(refused(3, 1));
}
