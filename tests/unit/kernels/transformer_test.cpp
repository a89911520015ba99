// SPDX-License-Identifier: Apache-2.0
// Kernels of transformers: causal_softmax, embedding, gelu, layer_norm, residual, token_cross_entropy.
#include "kernels/causal_softmax/reference.hpp"
#include "kernels/embedding/reference.hpp"
#include "kernels/gelu/reference.hpp"
#include "kernels/layer_norm/reference.hpp"
#include "kernels/residual/reference.hpp"
#include "kernels/token_cross_entropy/reference.hpp"
#include "samples.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

namespace trireme::kernels {
namespace {

/// Moderate values with full mantissas; one in `special_every` is special (0: none).
template <class T>
std::vector<T> drawn(std::size_t count, unsigned seed, std::size_t special_every = 0) {
  const samples::Array array = samples::random(dtype_of<T>, count, seed, special_every);
  std::vector<T> result(count);
  for (std::size_t i = 0; i < count; ++i) result[i] = static_cast<T>(array.value(i));
  return result;
}

template <class T>
bool alike(const std::vector<T>& a, const std::vector<T>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](T x, T y) { return (std::isnan(x) && std::isnan(y)) || std::memcmp(&x, &y, sizeof(T)) == 0; });
}

/// The greatest difference, relative to the greater of the expected value and `floor`.
template <class T>
double difference(const std::vector<T>& actual, const std::vector<T>& expected, double floor) {
  double worst = 0.0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double exact = static_cast<double>(expected[i]);
    worst = std::max(worst, std::fabs(static_cast<double>(actual[i]) - exact) / std::max(std::fabs(exact), floor));
  }
  return worst;
}

template <class T>
constexpr double ulps = 8 * static_cast<double>(std::numeric_limits<T>::epsilon());

struct Extent {
  std::size_t rows;
  std::size_t columns;
};
const std::vector<Extent> extents{{0, 5}, {1, 1}, {3, 7}, {5, 8}, {7, 33}, {20, 64}, {2, 1030}};

}  // namespace

TEMPLATE_TEST_CASE("Layer norm, its gradient, residuals and embeddings give the reference's bits", "", float, double) {
  using T = TestType;
  for (Isa isa : samples::isas()) {
    for (auto [rows, columns] : extents) {
      CAPTURE(name_of(isa), rows, columns);
      const std::size_t count = rows * columns;
      const auto x = drawn<T>(count, 1), dy = drawn<T>(count, 2), gain = drawn<T>(columns, 3),
                 bias = drawn<T>(columns, 4);
      std::vector<T> y(count), expected_y(count), means(rows), expected_means(rows), roots(rows), expected_roots(rows);
      LayerNormCall<T> call{.y = y.data(),
                            .x = x.data(),
                            .gain = gain.data(),
                            .bias = bias.data(),
                            .means = means.data(),
                            .inverse_roots = roots.data(),
                            .rows = rows,
                            .columns = columns};
      layer_norm(call, isa);
      call.y = expected_y.data();
      call.means = expected_means.data();
      call.inverse_roots = expected_roots.data();
      reference::layer_norm(call);
      REQUIRE(alike(y, expected_y));
      REQUIRE(alike(means, expected_means));
      REQUIRE(alike(roots, expected_roots));

      auto dx = drawn<T>(count, 5), expected_dx = dx;
      std::vector<T> terms(count), expected_terms(count);
      LayerNormBackwardCall<T> back{.dx = dx.data(),
                                    .gain_terms = terms.data(),
                                    .dy = dy.data(),
                                    .x = x.data(),
                                    .gain = gain.data(),
                                    .means = means.data(),
                                    .inverse_roots = roots.data(),
                                    .rows = rows,
                                    .columns = columns};
      layer_norm_backward(back, isa);
      back.dx = expected_dx.data();
      back.gain_terms = expected_terms.data();
      reference::layer_norm_backward(back);
      REQUIRE(alike(dx, expected_dx));
      REQUIRE(alike(terms, expected_terms));

      std::vector<T> sum(count), expected_sum(count);
      add_bias_residual(sum.data(), x.data(), bias.data(), dy.data(), rows, columns, isa);
      reference::add_bias_residual(expected_sum.data(), x.data(), bias.data(), dy.data(), rows, columns);
      REQUIRE(alike(sum, expected_sum));
      sum = x;
      add_bias_residual(sum.data(), sum.data(), bias.data(), dy.data(), rows, columns, isa);
      REQUIRE(alike(sum, expected_sum));
      add(sum.data(), x.data(), dy.data(), count, isa);
      reference::add(expected_sum.data(), x.data(), dy.data(), count);
      REQUIRE(alike(sum, expected_sum));

      constexpr std::size_t vocabulary = 4, length = 3;
      std::vector<std::uint16_t> tokens(rows);
      for (std::size_t i = 0; i < rows; ++i) tokens[i] = static_cast<std::uint16_t>(i * i % vocabulary);
      const auto table = drawn<T>(vocabulary * columns, 6), positions = drawn<T>(length * columns, 7);
      embedding(sum.data(), tokens.data(), table.data(), positions.data(), rows, length, columns, isa);
      reference::embedding(expected_sum.data(), tokens.data(), table.data(), positions.data(), rows, length, columns);
      REQUIRE(alike(sum, expected_sum));
      auto gradient = table, expected_gradient = table;
      embedding_backward(gradient.data(), tokens.data(), dy.data(), rows, columns, isa);
      reference::embedding_backward(expected_gradient.data(), tokens.data(), dy.data(), rows, columns);
      REQUIRE(alike(gradient, expected_gradient));
    }
  }
}

TEMPLATE_TEST_CASE("GELU and its gradient agree with tanh of the C library, the same bits on every instruction set", "",
                   float, double) {
  using T = TestType;
  constexpr std::size_t rows = 40, columns = 101;
  auto start = drawn<T>(rows * columns, 1);
  for (std::size_t i = 0; i < 1000; ++i) start[i] = static_cast<T>(static_cast<double>(i) * 0.05 - 25.0);
  const auto bias = drawn<T>(columns, 2), dy = drawn<T>(rows * columns, 3);
  std::vector<T> first, first_dx;
  for (Isa isa : samples::isas()) {
    CAPTURE(name_of(isa));
    auto values = start, expected_values = start;
    std::vector<T> actual(start.size()), expected(start.size());
    add_bias_gelu(actual.data(), values.data(), bias.data(), rows, columns, isa);
    reference::add_bias_gelu(expected.data(), expected_values.data(), bias.data(), rows, columns);
    REQUIRE(alike(values, expected_values));
    CHECK(difference(actual, expected, 1.0) < ulps<T>);
    std::vector<T> dx(start.size()), expected_dx(start.size());
    gelu_backward(dx.data(), dy.data(), values.data(), dx.size(), isa);
    reference::gelu_backward(expected_dx.data(), dy.data(), values.data(), dx.size());
    CHECK(difference(dx, expected_dx, 1.0) / ulps<T> < 8);
    auto in_place = dy;
    gelu_backward(in_place.data(), in_place.data(), values.data(), dx.size(), isa);
    REQUIRE(alike(in_place, dx));
    if (first.empty()) {
      first = actual;
      first_dx = dx;
    }
    REQUIRE(alike(actual, first));
    REQUIRE(alike(dx, first_dx));
  }
}

TEMPLATE_TEST_CASE("GELU of far values is 0 or the value itself, its slope 0 or 1", "", float, double) {
  using T = TestType;
  for (Isa isa : samples::isas()) {
    for (T z : {T{30}, T{1e6}, static_cast<T>(1e30)}) {
      std::vector<T> values{z, -z}, activations(2), bias(2), dx(2);
      const std::vector<T> dy{T{3}, T{3}};
      add_bias_gelu(activations.data(), values.data(), bias.data(), 1, 2, isa);
      CHECK((activations[0] == z && activations[1] == T{0}));
      gelu_backward(dx.data(), dy.data(), values.data(), 2, isa);
      CHECK((dx[0] == T{3} && dx[1] == T{0}));
    }
  }
}

TEMPLATE_TEST_CASE("The causal softmax looks back only and agrees with exp of the C library", "", float, double) {
  using T = TestType;
  for (std::size_t length : {1u, 2u, 7u, 8u, 33u, 130u}) {
    const auto start = drawn<T>(length * length, 1), dy = drawn<T>(length * length, 2);
    const T scale = static_cast<T>(0.3);
    std::vector<T> first, first_back;
    for (Isa isa : samples::isas()) {
      CAPTURE(name_of(isa), length);
      auto weights = start, expected = start;
      causal_softmax(weights.data(), length, scale, isa);
      reference::causal_softmax(expected.data(), length, scale);
      CHECK(difference(weights, expected, 1e-3) < 4 * ulps<T>);
      auto back = dy, expected_back = dy;
      causal_softmax_backward(back.data(), weights.data(), length, scale, isa);
      reference::causal_softmax_backward(expected_back.data(), weights.data(), length, scale);
      CHECK(difference(back, expected_back, 1.0) < 4 * ulps<T>);
      for (std::size_t i = 0; i < length; ++i) {
        for (std::size_t j = i + 1; j < length; ++j) {
          REQUIRE((weights[i * length + j] == T{0} && back[i * length + j] == T{0}));
        }
      }
      if (first.empty()) {
        first = weights;
        first_back = back;
      }
      REQUIRE(alike(weights, first));
      REQUIRE(alike(back, first_back));
      // What stands above the diagonal is not looked at.
      auto other = start;
      for (std::size_t i = 0; i < length; ++i) {
        for (std::size_t j = i + 1; j < length; ++j) other[i * length + j] = std::numeric_limits<T>::quiet_NaN();
      }
      causal_softmax(other.data(), length, scale, isa);
      REQUIRE(alike(other, first));
    }
  }
}

TEMPLATE_TEST_CASE("Token cross entropy agrees with exp and log of the C library over any vocabulary", "", float,
                   double) {
  using T = TestType;
  for (std::size_t classes : {1u, 2u, 11u, 256u, 512u, 5003u, 65536u}) {
    const std::size_t rows = classes > 1000 ? 2 : 9;
    const auto logits = drawn<T>(rows * classes, static_cast<unsigned>(classes));
    std::vector<std::uint16_t> targets(rows);
    for (std::size_t r = 0; r < rows; ++r) targets[r] = static_cast<std::uint16_t>((7 * r + classes - 1) % classes);
    std::vector<double> first_losses;
    std::vector<T> first_gradient;
    for (Isa isa : samples::isas()) {
      CAPTURE(name_of(isa), classes);
      std::vector<double> losses(rows), expected_losses(rows);
      std::vector<T> gradient(logits.size()), expected_gradient(logits.size());
      TokenCrossEntropyCall<T> call{logits.data(), targets.data(), rows, classes, losses.data(), gradient.data()};
      token_cross_entropy(call, isa);
      call.losses = expected_losses.data();
      call.gradient = expected_gradient.data();
      reference::token_cross_entropy(call);
      CHECK(difference(losses, expected_losses, 1.0) < ulps<T>);
      CHECK(difference(gradient, expected_gradient, 1e-4) / ulps<T> < 4);
      auto in_place = logits;
      std::vector<double> again(rows);
      token_cross_entropy<T>({in_place.data(), targets.data(), rows, classes, again.data(), in_place.data()}, isa);
      REQUIRE(alike(in_place, gradient));
      REQUIRE(alike(again, losses));
      token_cross_entropy<T>({logits.data(), targets.data(), rows, classes, again.data(), nullptr}, isa);
      REQUIRE(alike(again, losses));
      if (first_losses.empty()) {
        first_losses = losses;
        first_gradient = gradient;
      }
      REQUIRE(alike(losses, first_losses));
      REQUIRE(alike(gradient, first_gradient));
    }
  }
}

TEST_CASE(
    "A token that is no class gives a NaN loss instead of a read beyond the row; NaN logits spoil their row only") {
  for (Isa isa : samples::isas()) {
    const std::vector<float> logits{1.0f, 2.0f, std::nanf(""), 0.0f, 3.0f, -1000.0f};
    const std::vector<std::uint16_t> targets{9, 1, 0};
    std::vector<double> losses(3);
    std::vector<float> gradient(6);
    token_cross_entropy<float>({logits.data(), targets.data(), 3, 2, losses.data(), gradient.data()}, isa);
    CHECK((std::isnan(losses[0]) && std::isnan(losses[1]) && losses[2] == 0.0));
    CHECK((std::isnan(gradient[2]) && std::isnan(gradient[3]) && gradient[4] == 0.0f && gradient[5] == 0.0f));
  }
}

}  // namespace trireme::kernels
