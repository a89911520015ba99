// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/exact_inputs.hpp"
#include "trireme/base/tensor_view.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <vector>

namespace trireme::testing {

/// A value of [-1, 1) for element `element` of stream `stream`.
inline double uniform(std::uint64_t stream, std::size_t element) {
  return static_cast<double>(mix(stream * 0x10001u + element) >> 11) * 0x1p-52 - 1.0;
}

template <class T>
std::vector<T> uniforms(std::uint64_t stream, std::size_t count) {
  std::vector<T> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<T>(uniform(stream, i));
  return values;
}

template <class T>
TensorView view(std::vector<T>& values) {
  return std::span<T>(values);
}

/// 1e-12 for f64, and as many units in the last place of T for others.
template <class T>
constexpr double tolerance = 1e-12 / std::numeric_limits<double>::epsilon() * std::numeric_limits<T>::epsilon();

/// Fails at the first element of `actual` further from `expected` than the tolerance of T, relative to the larger of the
/// expected value and `magnitude`.
template <class T>
void require_close(const std::vector<T>& actual, const std::vector<double>& expected, double magnitude = 0.0) {
  REQUIRE(actual.size() == expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double error = std::fabs(static_cast<double>(actual[i]) - expected[i]);
    if (!(error <= tolerance<T> * std::max(std::fabs(expected[i]), magnitude))) {
      FAIL("element " << i << " is " << actual[i] << ", expected " << expected[i] << ", off by " << error);
    }
  }
}

}  // namespace trireme::testing
