// SPDX-License-Identifier: Apache-2.0
#include "kernels/matmul/matmul.hpp"

#include "kernels/matmul/reference.hpp"
#include "samples.hpp"

#include <catch2/catch.hpp>

namespace trireme::kernels {

TEST_CASE("a matrix product gives the reference's bits on every processor, for any shape and alignment") {
  struct Shape {
    std::size_t rows, inner, columns;
  };
  const Shape shapes[] = {{0, 3, 4},  {3, 0, 4},   {1, 1, 1},  {4, 7, 16},
                          {5, 9, 33}, {8, 100, 8}, {3, 2, 17}, {13, 64, 65}};
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const auto [rows, inner, columns] : shapes) {
      const samples::Array a = samples::random(dtype, rows * inner, 1, 11, 3);
      const samples::Array b = samples::random(dtype, inner * columns, 2, 11, 5);
      samples::Array expected(dtype, rows * columns);
      reference::matmul({dtype, expected.data(), a.data(), b.data(), rows, inner, columns});
      for (const Isa isa : samples::isas()) {
        samples::Array actual(dtype, rows * columns, 2);
        matmul({dtype, actual.data(), a.data(), b.data(), rows, inner, columns}, isa);
        CAPTURE(name_of(isa), name_of(dtype), rows, inner, columns);
        REQUIRE(samples::same(expected, actual));
        REQUIRE(actual.guards_intact());
      }
    }
  }
}

TEST_CASE("a transpose of a transpose is the matrix, and each element is where it belongs") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const samples::Array matrix = samples::random(dtype, 17 * 35, 3, 0);
    samples::Array turned(dtype, 17 * 35), again(dtype, 17 * 35);
    transpose(turned.data(), matrix.data(), dtype, 17, 35);
    transpose(again.data(), turned.data(), dtype, 35, 17);
    REQUIRE(samples::same(matrix, again));
    REQUIRE(turned.value(2 * 17 + 5) == matrix.value(5 * 35 + 2));
  }
}

}  // namespace trireme::kernels
