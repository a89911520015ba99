// SPDX-License-Identifier: Apache-2.0
#include "kernels/fold/fold.hpp"

#include "kernels/fold/reference.hpp"
#include "samples.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace trireme::kernels {
namespace {

using samples::Array;

DType accumulator(DType dtype) { return dtype == DType::f64 ? DType::f64 : DType::f32; }

}  // namespace

TEST_CASE("Scaling and adding a scaled source give the reference's bits for every type, count and alignment") {
  for (Isa isa : samples::isas()) {
    for (DType dtype : {DType::f64, DType::f32, DType::f16, DType::bf16, DType::f8e4m3, DType::f8e5m2}) {
      for (std::size_t count : {0u, 1u, 7u, 8u, 9u, 31u, 512u, 1023u, 1025u}) {
        for (double weight : {1.0, 0.1, -3.0, 0.0, 1e300}) {
          Array source = samples::random(dtype, count, 5, 6, 1);
          Array expected(accumulator(dtype), count);
          Array actual(accumulator(dtype), count, 3);
          reference::scale(expected.data(), source.data(), dtype, weight, count);
          scale(actual.data(), source.data(), dtype, weight, count, isa);
          CAPTURE(name_of(isa), name_of(dtype), count, weight);
          REQUIRE(samples::same(expected, actual));
          REQUIRE(actual.guards_intact());

          expected = samples::random(accumulator(dtype), count, 6, 6);
          actual = expected.moved(5);
          reference::scale_add(expected.data(), source.data(), dtype, weight, count);
          scale_add(actual.data(), source.data(), dtype, weight, count, isa);
          REQUIRE(samples::same(expected, actual));
          REQUIRE(actual.guards_intact());
        }
      }
    }
  }
}

TEST_CASE("Scaling and dividing gives the reference's bits, whether or not the divisor is a power of two") {
  for (Isa isa : samples::isas()) {
    for (DType dtype : {DType::f64, DType::f32, DType::f16, DType::bf16, DType::f8e4m3, DType::f8e5m2}) {
      for (std::size_t count : {0u, 1u, 9u, 31u, 512u, 529u}) {
        for (double weight : {1.0, 0.1, -3.0, 0.0, 64.0, 1e300}) {
          for (double divisor : {1.0, 64.0, -0.25, 63.0, 0.1, 0x1p-149, 0x1p127, 0x1p-1074, 0.0}) {
            Array source = samples::random(dtype, count, 5, 6, 1);
            Array expected(accumulator(dtype), count);
            Array actual(accumulator(dtype), count, 3);
            reference::scale_divide(expected.data(), source.data(), dtype, weight, divisor, count);
            scale_divide(actual.data(), source.data(), dtype, weight, divisor, count, isa);
            CAPTURE(name_of(isa), name_of(dtype), count, weight, divisor);
            REQUIRE(samples::same(expected, actual));
            REQUIRE(actual.guards_intact());
          }
        }
      }
    }
  }
}

TEST_CASE("The product of scale_add is rounded before it is added") {
  // (1+e)(1-e) = 1 - e^2 rounds to 1, so the sum is 0; fused it would be -e^2.
  for (Isa isa : samples::isas()) {
    std::vector<float> source(9, 1.0f + 0x1p-13f);
    std::vector<float> destination(9, -1.0f);
    scale_add(destination.data(), source.data(), DType::f32, 1.0 - 0x1p-13, source.size(), isa);
    REQUIRE(destination == std::vector<float>(9, 0.0f));
  }
}

TEST_CASE("The weight is rounded to the accumulator type") {
  for (Isa isa : samples::isas()) {
    float source = 1.0f, destination = 0.0f;
    scale(&destination, &source, DType::f32, 1.0 + 0x1p-30, 1, isa);
    REQUIRE(destination == 1.0f);
  }
}

TEST_CASE("Scaling in place gives the same bits") {
  for (Isa isa : samples::isas()) {
    Array expected = samples::random(DType::f32, 1000, 8);
    Array actual = expected.moved(0);
    scale(expected.data(), actual.data(), DType::f32, 0.3, 1000, isa);
    scale(actual.data(), actual.data(), DType::f32, 0.3, 1000, isa);
    REQUIRE(samples::same(expected, actual));
  }
}

TEST_CASE("The mean of one leaf, made in place, has the reference's bits, whatever is among its elements") {
  const auto check = [](auto zero, DType dtype) {
    using T = decltype(zero);
    using Limits = std::numeric_limits<T>;
    const std::vector<T> special{T{1},
                                 T{0},
                                 -T{0},
                                 Limits::denorm_min(),
                                 -Limits::min(),
                                 Limits::max() / 64,
                                 std::nextafter(Limits::max() / 64, Limits::max()),
                                 -Limits::max(),
                                 Limits::infinity(),
                                 Limits::quiet_NaN()};
    for (Isa isa : samples::isas()) {
      for (double weight : {64.0, 1.0, 0.5, 63.0, -2.0, 0x1p-140, 0x1p120}) {
        for (const T one : special) {
          std::vector<T> expected(37, T{-3});
          expected[20] = one;
          std::vector<T> actual = expected;
          reference::scale_divide(expected.data(), expected.data(), dtype, weight, weight, expected.size());
          scale_divide(actual.data(), actual.data(), dtype, weight, weight, actual.size(), isa);
          CAPTURE(name_of(isa), weight, one);
          REQUIRE(std::memcmp(expected.data(), actual.data(), actual.size() * sizeof(T)) == 0);
        }
      }
    }
  };
  check(0.0f, DType::f32);
  check(0.0, DType::f64);
}

}  // namespace trireme::kernels
