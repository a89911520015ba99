// SPDX-License-Identifier: Apache-2.0
#include "kernels/dense/dense.hpp"

#include "kernels/dense/reference.hpp"
#include "samples.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

namespace trireme::kernels {
namespace {

template <class T>
std::vector<T> values(std::size_t count, unsigned seed, std::size_t special_every = 5) {
  samples::Array array = samples::random(dtype_of<T>, count, seed, special_every);
  std::vector<T> result(count);
  for (std::size_t i = 0; i < count; ++i) result[i] = static_cast<T>(array.value(i));
  return result;
}

template <class T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](T x, T y) { return (std::isnan(x) && std::isnan(y)) || std::memcmp(&x, &y, sizeof(T)) == 0; });
}

struct Shape {
  std::size_t rows;
  std::size_t columns;
};
const std::vector<Shape> shapes{{0, 5}, {1, 1}, {3, 7}, {5, 8}, {7, 33}, {64, 10}, {100, 65}, {31, 128}, {11, 600}};

}  // namespace

TEMPLATE_TEST_CASE("Bias, ReLU, its gradient and column sums give the reference's bits", "", float, double) {
  using T = TestType;
  for (Isa isa : samples::isas()) {
    for (auto [rows, columns] : shapes) {
      CAPTURE(name_of(isa), rows, columns);
      const std::vector<T> x = values<T>(rows * columns, 1);
      const std::vector<T> dy = values<T>(rows * columns, 2);
      const std::vector<T> bias = values<T>(columns, 3);
      std::vector<T> expected = x, actual = x;
      reference::add_bias(expected.data(), bias.data(), rows, columns);
      add_bias(actual.data(), bias.data(), rows, columns, isa);
      REQUIRE(same(expected, actual));

      expected = actual = x;
      reference::add_bias_relu(expected.data(), bias.data(), rows, columns);
      add_bias_relu(actual.data(), bias.data(), rows, columns, isa);
      REQUIRE(same(expected, actual));

      const std::vector<T> activation = actual;
      reference::relu_backward(expected.data(), dy.data(), activation.data(), dy.size());
      relu_backward(actual.data(), dy.data(), activation.data(), dy.size(), isa);
      REQUIRE(same(expected, actual));
      actual = dy;
      relu_backward(actual.data(), actual.data(), activation.data(), dy.size(), isa);
      REQUIRE(same(expected, actual));

      std::vector<T> expected_sum(columns, T{9}), actual_sum(columns, T{9});
      const std::vector<T> finite = values<T>(rows * columns, 4, 0);
      reference::column_sum(expected_sum.data(), finite.data(), rows, columns);
      column_sum(actual_sum.data(), finite.data(), rows, columns, isa);
      REQUIRE(same(expected_sum, actual_sum));
    }
  }
}

TEST_CASE("ReLU keeps NaN, and its gradient passes only where the activation is positive") {
  for (Isa isa : samples::isas()) {
    std::vector<float> x{-1.0f, 0.0f, 2.0f, std::nanf("")};
    std::vector<float> bias(4, 0.0f);
    add_bias_relu(x.data(), bias.data(), 1, 4, isa);
    REQUIRE((x[0] == 0.0f && x[1] == 0.0f && x[2] == 2.0f && std::isnan(x[3])));
    std::vector<float> dy{5.0f, 6.0f, 7.0f, 8.0f}, dx(4);
    relu_backward(dx.data(), dy.data(), x.data(), 4, isa);
    REQUIRE(dx == std::vector<float>{0.0f, 0.0f, 7.0f, 0.0f});
  }
}

TEMPLATE_TEST_CASE("Softmax cross entropy agrees with exp and log of the C library", "", float, double) {
  using T = TestType;
  for (Isa isa : samples::isas()) {
    for (std::size_t classes : {1u, 2u, 7u, 10u, 100u, 256u}) {
      for (std::size_t rows : {1u, 3u, 50u}) {
        std::vector<T> logits = values<T>(rows * classes, static_cast<unsigned>(classes), 0);
        std::vector<std::uint8_t> labels(rows);
        for (std::size_t r = 0; r < rows; ++r) labels[r] = static_cast<std::uint8_t>((7 * r) % classes);
        std::vector<double> losses(rows), expected_losses(rows);
        std::vector<T> gradient(logits.size()), expected_gradient(logits.size());
        SoftmaxCrossEntropyCall<T> call{logits.data(), labels.data(), rows, classes, losses.data(), gradient.data()};
        std::size_t correct = softmax_cross_entropy(call, isa);
        call.losses = expected_losses.data();
        call.gradient = expected_gradient.data();
        REQUIRE(correct == reference::softmax_cross_entropy(call));
        for (std::size_t r = 0; r < rows; ++r) {
          REQUIRE(losses[r] == Approx(expected_losses[r]).epsilon(1e-14).margin(1e-15));
        }
        double tolerance = sizeof(T) == 4 ? 1e-6 : 1e-13;
        for (std::size_t i = 0; i < gradient.size(); ++i) {
          REQUIRE(gradient[i] == Approx(expected_gradient[i]).epsilon(tolerance).margin(tolerance * 1e-2));
        }

        // In place, and without what is not wanted: the same bits and the same count.
        std::vector<T> in_place = logits;
        call = {in_place.data(), labels.data(), rows, classes, nullptr, in_place.data()};
        REQUIRE(softmax_cross_entropy(call, isa) == correct);
        REQUIRE(same(in_place, gradient));
        call = {logits.data(), labels.data(), rows, classes, nullptr, nullptr};
        REQUIRE(softmax_cross_entropy(call, isa) == correct);
      }
    }
  }
}

TEMPLATE_TEST_CASE("Softmax cross entropy gives the same bits on every instruction set", "", float, double) {
  using T = TestType;
  constexpr std::size_t rows = 200, classes = 10;
  std::vector<T> logits = values<T>(rows * classes, 17, 40);
  std::vector<std::uint8_t> labels(rows, 3);
  std::vector<double> first_losses(rows), losses(rows);
  std::vector<T> first_gradient(rows * classes), gradient(rows * classes);
  std::size_t first = softmax_cross_entropy(SoftmaxCrossEntropyCall<T>{logits.data(), labels.data(), rows, classes,
                                                                       first_losses.data(), first_gradient.data()},
                                            Isa::portable);
  for (Isa isa : samples::isas()) {
    SoftmaxCrossEntropyCall<T> call{logits.data(), labels.data(), rows, classes, losses.data(), gradient.data()};
    REQUIRE(softmax_cross_entropy(call, isa) == first);
    REQUIRE(same(losses, first_losses));
    REQUIRE(same(gradient, first_gradient));
  }
}

TEST_CASE("Far logits neither overflow nor lose the loss, the first of equal logits is the prediction") {
  for (Isa isa : samples::isas()) {
    std::vector<float> logits{1000.0f, -1000.0f, 0.0f, /**/ 2.0f, 2.0f, 2.0f, /**/ -5.0f, 1.0f, 1.0f};
    std::vector<std::uint8_t> labels{1, 0, 2};
    std::vector<double> losses(3);
    std::vector<float> gradient(9);
    std::size_t correct = softmax_cross_entropy(
        SoftmaxCrossEntropyCall<float>{logits.data(), labels.data(), 3, 3, losses.data(), gradient.data()}, isa);
    REQUIRE(correct == 1);  // the second row; the third predicts class 1
    REQUIRE(losses[0] == 2000.0);
    REQUIRE(losses[1] == Approx(std::log(3.0)).epsilon(1e-15));
    REQUIRE(gradient[0] == Approx(1.0 / 3));
    REQUIRE(gradient[1] == Approx(-1.0 / 3));
    REQUIRE(gradient[2] == 0.0f);
  }
}

TEST_CASE("Exponential and logarithm are right to a few units in the last place over their ranges") {
  // Two classes d apart: the loss at the lesser is d + log(1 + exp(-d)), at the greater log(1 + exp(-d)).
  for (Isa isa : samples::isas()) {
    for (double d = 0.0; d < 700.0; d += d < 40 ? 0.0137 : 3.17) {
      std::vector<double> logits{0.0, -d};
      std::vector<double> losses(1), gradient(2);
      std::uint8_t label = 0;
      softmax_cross_entropy(
          SoftmaxCrossEntropyCall<double>{logits.data(), &label, 1, 2, losses.data(), gradient.data()}, isa);
      REQUIRE(std::fabs(losses[0] - std::log(1.0 + std::exp(-d))) <= 4e-16);
      REQUIRE(gradient[1] == Approx(std::exp(-d) / (1.0 + std::exp(-d))).epsilon(1e-15).margin(0));
    }
  }
}

TEST_CASE("A label that is no class gives a NaN loss instead of a read beyond the row") {
  for (Isa isa : samples::isas()) {
    std::vector<float> logits{1.0f, 2.0f};
    std::uint8_t label = 200;
    double loss = 0;
    softmax_cross_entropy(SoftmaxCrossEntropyCall<float>{logits.data(), &label, 1, 2, &loss, nullptr}, isa);
    REQUIRE(std::isnan(loss));
  }
}

}  // namespace trireme::kernels
