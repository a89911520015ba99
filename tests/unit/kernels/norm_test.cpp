// SPDX-License-Identifier: Apache-2.0
#include "kernels/norm/norm.hpp"

#include "kernels/norm/reference.hpp"
#include "samples.hpp"
#include "trireme/layout/reduction_tree.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <bit>

namespace trireme::kernels {
namespace {

using samples::Array;

std::uint64_t bits(double value) { return std::bit_cast<std::uint64_t>(value); }

std::vector<double> random_values(std::size_t count, unsigned seed) {
  std::mt19937_64 generator(seed);
  std::uniform_real_distribution<double> distribution(-1.0, 1.0);
  std::vector<double> values(count);
  for (double& value : values) value = std::ldexp(distribution(generator), static_cast<int>(generator() % 21) - 10);
  return values;
}

}  // namespace

TEST_CASE("Sums of squares give the reference's bits for every type, count and alignment") {
  for (Isa isa : samples::isas()) {
    for (DType dtype : {DType::f64, DType::f32, DType::f16, DType::bf16, DType::f8e4m3, DType::f8e5m2}) {
      for (std::size_t count : {0u, 1u, 7u, 8u, 9u, 31u, 511u, 513u, 4095u, 4096u, 4097u, 20000u, 5 * 4096u}) {
        Array data = samples::random(dtype, count, 21, 0, 1);
        CAPTURE(name_of(isa), name_of(dtype), count);
        REQUIRE(bits(sum_of_squares(data.data(), dtype, count, isa)) ==
                bits(reference::sum_of_squares(data.data(), dtype, count)));
      }
    }
  }
}

TEST_CASE("Sums of doubles give the reference's bits") {
  for (Isa isa : samples::isas()) {
    for (std::size_t count : {0u, 1u, 7u, 8u, 9u, 31u, 4095u, 4096u, 4097u, 20000u, 7 * 4096u}) {
      std::vector<double> values = random_values(count, 22);
      REQUIRE(bits(sum(values.data(), count, isa)) == bits(reference::sum(values.data(), count)));
    }
  }
}

TEST_CASE("Lane j takes the elements congruent to j mod 8, and lanes meet in a balanced tree") {
  // Each pair of lanes cancels only in the stated brackets.
  for (Isa isa : samples::isas()) {
    std::vector<double> values{1e16, 1.0, -1e16, 1.0, 1.0, 1e16, 1.0, -1e16};
    double lanes = ((1e16 + 1.0) + (-1e16 + 1.0)) + ((1.0 + 1e16) + (1.0 + -1e16));
    REQUIRE(block_sum(values.data(), 8, isa) == lanes);
    values.insert(values.end(), {-1e16, 1.0, 1e16});
    double longer = (((1e16 - 1e16) + (1.0 + 1.0)) + ((-1e16 + 1e16) + 1.0)) + ((1.0 + 1e16) + (1.0 + -1e16));
    REQUIRE(block_sum(values.data(), 11, isa) == longer);
  }
}

TEST_CASE("Infinities and NaNs reach the norm") {
  for (Isa isa : samples::isas()) {
    std::vector<float> values(100, 1.0f);
    values[99] = -std::numeric_limits<float>::infinity();
    REQUIRE(sum_of_squares(values.data(), DType::f32, 100, isa) == std::numeric_limits<double>::infinity());
    values[3] = std::nanf("");
    REQUIRE(std::isnan(sum_of_squares(values.data(), DType::f32, 100, isa)));
    std::vector<float> large(16, 3e38f);  // squares overflow f32, not f64
    REQUIRE(sum_of_squares(large.data(), DType::f32, 16, isa) == 16.0 * (double{3e38f} * double{3e38f}));
  }
}

TEST_CASE("A streamed tree sum has the brackets of the balanced tree for any number of values") {
  for (std::size_t n = 1; n <= 300; ++n) {
    std::vector<double> values = random_values(n, static_cast<unsigned>(n));
    TreeSum sum;
    for (double value : values) sum.add(value);
    REQUIRE(sum.count() == n);
    REQUIRE(bits(sum.result()) == bits(reference::tree_sum(values)));
    REQUIRE(bits(sum.result()) == bits(sum.result()));

    std::vector<double> stack;  // the fold of layout, the same tree
    for (std::size_t leaf = 0; leaf < n; ++leaf) {
      stack.push_back(values[leaf]);
      for (int k = layout::combines_after(static_cast<int>(n), static_cast<int>(leaf)); k > 0; --k) {
        double right = stack.back();
        stack.pop_back();
        stack.back() += right;
      }
    }
    REQUIRE(bits(sum.result()) == bits(stack.at(0)));
  }
  REQUIRE(bits(TreeSum().result()) == bits(0.0));
}

TEST_CASE("Blocks summed apart and joined in order give the bits of the whole") {
  Array data = samples::random(DType::f32, 10 * 4096 + 17, 23, 0);
  for (Isa isa : samples::isas()) {
    TreeSum joined;
    for (std::size_t begin = 0; begin < data.count(); begin += layout::reduction_block) {
      std::size_t size = std::min(layout::reduction_block, data.count() - begin);
      joined.add(block_sum_of_squares(data.at(begin), DType::f32, size, isa));
    }
    REQUIRE(bits(joined.result()) == bits(sum_of_squares(data.data(), DType::f32, data.count(), isa)));
  }
}

}  // namespace trireme::kernels
