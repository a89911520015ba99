// SPDX-License-Identifier: Apache-2.0
// Known minima are found: what no comparison with a reference of the same formula would notice.
#include "tensors.hpp"
#include "trireme/optim/adamw.hpp"
#include "trireme/optim/sgd.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using namespace trireme::testing;

namespace {

/// sum of k_i/2 (x_i - i)^2 with curvatures k from 1 to 10: minimum at x_i = i.
std::vector<double> quadratic_gradient(const std::vector<double>& x) {
  std::vector<double> gradient(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double curvature = 1.0 + 9.0 * static_cast<double>(i) / static_cast<double>(x.size() - 1);
    gradient[i] = curvature * (x[i] - static_cast<double>(i));
  }
  return gradient;
}

/// (1 - x)^2 + 100 (y - x^2)^2: minimum at (1, 1), at the end of a bent valley.
std::vector<double> rosenbrock_gradient(const std::vector<double>& p) {
  const double x = p[0], y = p[1];
  return {-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)};
}

template <class Gradient>
std::vector<double> minimize(Optimizer& optimizer, std::vector<double> x, int steps, Gradient gradient_of) {
  for (int i = 0; i < steps; ++i) {
    auto gradient = gradient_of(x);
    optimizer.apply("x", view(x), view(gradient));
  }
  return x;
}

double distance(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(sum);
}

}  // namespace

TEST_CASE("a quadratic's minimum is found") {
  const std::vector<double> start(8, -3.0), minimum{0, 1, 2, 3, 4, 5, 6, 7};
  Sgd plain({.learning_rate = 0.15});
  REQUIRE(distance(minimize(plain, start, 300, quadratic_gradient), minimum) < 1e-10);
  Sgd momentum({.learning_rate = 0.1, .momentum = 0.5});
  REQUIRE(distance(minimize(momentum, start, 300, quadratic_gradient), minimum) < 1e-10);
  Sgd nesterov({.learning_rate = 0.05, .momentum = 0.7, .nesterov = true});
  REQUIRE(distance(minimize(nesterov, start, 300, quadratic_gradient), minimum) < 1e-8);
  AdamW adamw({.learning_rate = 0.1, .weight_decay = 0.0});
  REQUIRE(distance(minimize(adamw, start, 2000, quadratic_gradient), minimum) < 1e-3);
}

TEST_CASE("Rosenbrock's minimum is found") {
  const std::vector<double> start{-1.2, 1.0}, minimum{1.0, 1.0};
  Sgd momentum({.learning_rate = 1e-3, .momentum = 0.9});
  REQUIRE(distance(minimize(momentum, start, 5000, rosenbrock_gradient), minimum) < 1e-3);
  AdamW adamw({.learning_rate = 0.01, .weight_decay = 0.0});
  REQUIRE(distance(minimize(adamw, start, 8000, rosenbrock_gradient), minimum) < 1e-2);
}

TEST_CASE("an L2 penalty moves the minimum to where gradient and penalty balance") {
  Sgd sgd({.learning_rate = 0.1, .l2_penalty = 1.0});
  // d/dx (x - 3)^2/2 + x = 0 at 1.5
  const auto x =
      minimize(sgd, {10.0}, 300, [](const std::vector<double>& at) { return std::vector<double>{at[0] - 3.0}; });
  REQUIRE(x[0] == Approx(1.5).epsilon(1e-12));
}
