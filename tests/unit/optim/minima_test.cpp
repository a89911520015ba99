// SPDX-License-Identifier: Apache-2.0
// Every rule finds the minima of the field's test functions: what no comparison with a definition would notice.
#include "rules.hpp"
#include "tensors.hpp"
#include "trireme/optim/schedule.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <map>

using namespace trireme;
using namespace trireme::testing;

namespace {

struct Value {
  double f;
  std::vector<double> gradient;
};

/// A function, where to start, and its least value.
struct Function {
  std::string name;
  std::vector<double> start;
  double least;
  Value (*at)(const std::vector<double>& x);
  std::vector<std::int64_t> shape{};  ///< empty: a vector
};

Value rosenbrock(const std::vector<double>& p) {
  const double x = p[0], y = p[1];
  return {(1 - x) * (1 - x) + 100 * (y - x * x) * (y - x * x),
          {-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)}};
}

Value himmelblau(const std::vector<double>& p) {
  const double x = p[0], y = p[1], a = x * x + y - 11, b = x + y * y - 7;
  return {a * a + b * b, {4 * x * a + 2 * b, 2 * a + 4 * y * b}};
}

Value styblinski_tang(const std::vector<double>& p) {
  Value value{0, std::vector<double>(p.size())};
  for (std::size_t i = 0; i < p.size(); ++i) {
    const double x = p[i];
    value.f += 0.5 * (x * x * x * x - 16 * x * x + 5 * x);
    value.gradient[i] = 2 * x * x * x - 16 * x + 2.5;
  }
  return value;
}

/// Curvatures from 1 to 1e4; minimum at 1.
double curvature(std::size_t i, std::size_t n) {
  return std::pow(1e4, static_cast<double>(i) / static_cast<double>(n - 1));
}

Value quadratic(const std::vector<double>& x) {
  Value value{0, std::vector<double>(x.size())};
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double k = curvature(i, x.size());
    value.f += 0.5 * k * (x[i] - 1) * (x[i] - 1);
    value.gradient[i] = k * (x[i] - 1);
  }
  return value;
}

constexpr std::size_t side = 6;

/// tr((X - M)^T K (X - M))/2, the curvatures on K's diagonal, M with values about 1 and of full rank.
Value matrix_quadratic(const std::vector<double>& x) {
  Value value{0, std::vector<double>(x.size())};
  for (std::size_t i = 0; i < side; ++i) {
    for (std::size_t j = 0; j < side; ++j) {
      const double off = x[i * side + j] - (1 + 0.5 * uniform(9, i * side + j));
      value.f += 0.5 * curvature(i, side) * off * off;
      value.gradient[i * side + j] = curvature(i, side) * off;
    }
  }
  return value;
}

const std::vector<Function>& functions() {
  static const std::vector<Function> all{
      {"Rosenbrock", {-1.2, 1.0}, 0.0, rosenbrock},
      {"Himmelblau", {0.5, 0.5}, 0.0, himmelblau},
      {"Styblinski-Tang", {-1.0, -1.5}, -78.33233140754282, styblinski_tang},
      {"quadratic of condition 1e4", std::vector<double>(10, 0.0), 0.0, quadratic},
      {"matrix quadratic of condition 1e4", std::vector<double>(side * side, 0.0), 0.0, matrix_quadratic, {side, side}},
  };
  return all;
}

/// The learning rate for each function, which falls to 0 along a cosine, and the rule's other settings.
struct Tabled {
  std::string rule;
  std::vector<double> learning_rates;  ///< one per function
  std::unique_ptr<Optimizer> (*make)();
};

template <class Rule, class Options>
std::unique_ptr<Optimizer> plain() {
  Options options;
  options.weight_decay = 0.0;
  return std::make_unique<Rule>(options);
}

const std::vector<Tabled>& table() {
  static const std::vector<Tabled> all{
      {"sgd", {1e-3, 1e-2, 1e-2, 1e-4, 1e-4}, plain<Sgd, SgdOptions>},
      {"momentum",
       {1e-3, 1e-3, 1e-3, 1e-4, 1e-4},
       [] { return std::unique_ptr<Optimizer>(std::make_unique<Sgd>(SgdOptions{.momentum = 0.9})); }},
      {"nesterov",
       {1e-3, 1e-3, 1e-3, 1e-4, 1e-4},
       [] { return std::unique_ptr<Optimizer>(std::make_unique<Sgd>(SgdOptions{.momentum = 0.9, .nesterov = true})); }},
      {"adam", {1e-2, 1e-2, 1e-2, 1e-2, 1e-2}, plain<Adam, AdamOptions>},
      {"adamw", {1e-2, 1e-2, 1e-2, 1e-2, 1e-2}, plain<AdamW, AdamWOptions>},
      {"nadam", {1e-2, 1e-2, 1e-2, 1e-2, 1e-2}, plain<NAdam, NAdamOptions>},
      {"rmsprop", {1e-2, 1e-2, 1e-2, 1e-2, 1e-2}, plain<RmsProp, RmsPropOptions>},
      {"adagrad", {0.5, 0.5, 0.5, 0.5, 0.5}, plain<Adagrad, AdagradOptions>},
      {"adadelta", {10.0, 1.0, 1.0, 1.0, 1.0}, plain<Adadelta, AdadeltaOptions>},
      {"lion", {1e-3, 1e-3, 1e-3, 1e-3, 1e-3}, plain<Lion, LionOptions>},
      {"lamb", {1e-2, 1e-2, 1e-2, 1e-2, 1e-2}, plain<Lamb, LambOptions>},
      {"lars", {1.0, 1.0, 1.0, 1.0, 1.0}, plain<Lars, LarsOptions>},
      {"adafactor", {1e-2, 1e-2, 1e-2, 1e-2, 1e-2}, plain<Adafactor, AdafactorOptions>},
      {"muon",
       {1e-2, 1e-2, 1e-2, 1e-2, 1e-2},
       [] {
         return std::unique_ptr<Optimizer>(
             std::make_unique<Muon>(MuonOptions{.adamw = {.learning_rate = 2e-2, .weight_decay = 0.0}}));
       }},
  };
  return all;
}

}  // namespace

TEST_CASE("every rule finds the minima of the test functions within 20 000 steps") {
  constexpr std::uint64_t steps = 20'000;
  for (const Tabled& rule : table()) {
    for (std::size_t k = 0; k < functions().size(); ++k) {
      const Function& function = functions()[k];
      const auto optimizer = rule.make();
      const Schedule schedule{.kind = ScheduleKind::cosine, .total_steps = steps};
      std::vector<double> x = function.start;
      const double first = function.at(x).f;
      for (std::uint64_t t = 1; t <= steps; ++t) {
        Value value = function.at(x);
        optimizer->set_learning_rate(rule.learning_rates[k] * schedule.factor(t));
        const Optimizer::TensorUpdate update{"x", view(x), view(value.gradient), function.shape};
        optimizer->apply(std::span(&update, 1));
      }
      const double left = (function.at(x).f - function.least) / (first - function.least);
      CAPTURE(rule.rule, function.name);
      CHECK(left <= 1e-3);
    }
  }
}
