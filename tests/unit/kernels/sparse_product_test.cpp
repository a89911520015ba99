// SPDX-License-Identifier: Apache-2.0
#include "kernels/sparse_product/reference.hpp"
#include "samples.hpp"

#include <catch2/catch.hpp>

namespace trireme::kernels {
namespace {

/// Rows of 0 to 6 stored elements among `features`, the first of them behind some that belong to nobody.
struct DrawnRows {
  std::vector<std::uint64_t> offsets{5};
  std::vector<std::uint32_t> indices = std::vector<std::uint32_t>(5, 0xffffffffu);
  std::vector<float> values = std::vector<float>(5, std::nanf(""));

  DrawnRows(std::size_t rows, std::size_t features, unsigned seed) {
    std::mt19937_64 generator(seed);
    for (std::size_t i = 0; i < rows; ++i) {
      const std::size_t stride = 1 + features / 6;
      for (std::size_t f = generator() % (features + 1); f < features; f += 1 + generator() % stride) {
        indices.push_back(static_cast<std::uint32_t>(f));
        values.push_back(static_cast<float>(std::ldexp(static_cast<double>(generator() % 2001) - 1000.0, -9)));
      }
      offsets.push_back(indices.size());
    }
  }
  SparseMatrix view() const { return {offsets.data(), indices.data(), values.data(), offsets.size() - 1}; }
};

}  // namespace

TEMPLATE_TEST_CASE("Sparse products and their gradients give the reference's bits", "", float, double) {
  using T = TestType;
  constexpr std::size_t features = 19;
  for (Isa isa : samples::isas()) {
    for (const std::size_t rows : {0u, 1u, 9u}) {
      for (const std::size_t columns : {1u, 2u, 3u, 7u, 10u, 16u, 31u, 33u, 100u}) {
        CAPTURE(name_of(isa), rows, columns);
        const DrawnRows x(rows, features, static_cast<unsigned>(100 * rows + columns));
        const auto w = samples::random(dtype_of<T>, features * columns, 7, 0);
        samples::Array y(dtype_of<T>, rows * columns), expected(dtype_of<T>, rows * columns);
        sparse_product(static_cast<T*>(y.data()), x.view(), static_cast<const T*>(w.data()), columns, isa);
        reference::sparse_product(static_cast<T*>(expected.data()), x.view(), static_cast<const T*>(w.data()), columns);
        CHECK(samples::same(y, expected));
        CHECK(y.guards_intact());

        auto gradient = samples::random(dtype_of<T>, features * columns, 8, 0);
        auto expected_gradient = gradient;
        sparse_product_backward(static_cast<T*>(gradient.data()), x.view(), static_cast<const T*>(y.data()), columns,
                                isa);
        reference::sparse_product_backward(static_cast<T*>(expected_gradient.data()), x.view(),
                                           static_cast<const T*>(y.data()), columns);
        CHECK(samples::same(gradient, expected_gradient));
        CHECK(gradient.guards_intact());
      }
    }
  }
}

TEST_CASE("A row without stored elements gives +0, and touches no row of the gradient") {
  const std::vector<std::uint64_t> offsets{0, 0, 2};
  const std::vector<std::uint32_t> indices{1, 3};
  const std::vector<float> values{2.0f, -0.5f};
  const SparseMatrix x{offsets.data(), indices.data(), values.data(), 2};
  const std::vector<double> w{9, 9, 1, 2, 9, 9, 4, 8};
  std::vector<double> y(4, std::nan(""));
  sparse_product(y.data(), x, w.data(), 2);
  CHECK(y == std::vector<double>{0, 0, 0, 0});
  CHECK_FALSE(std::signbit(y[0]));
  const std::vector<double> dy{100, 200, 1, 3};
  std::vector<double> gradient(8, 7);
  sparse_product_backward(gradient.data(), x, dy.data(), 2);
  CHECK(gradient == std::vector<double>{7, 7, 9, 13, 7, 7, 6.5, 5.5});
}

}  // namespace trireme::kernels
