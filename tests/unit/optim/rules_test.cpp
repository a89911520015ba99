// SPDX-License-Identifier: Apache-2.0
// Every rule beside its definition, written down once more in f64 from the papers and shared with nothing: with decay,
// warm-up and clipping, over 100 steps.
#include "rules.hpp"

#include "kernels/cast/reference.hpp"
#include "tensors.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <memory>

using namespace trireme;
using namespace trireme::testing;

namespace {

using Values = std::vector<double>;

double norm(const Values& values) {
  long double sum = 0;
  for (const double v : values) sum += static_cast<long double>(v) * static_cast<long double>(v);
  return static_cast<double>(std::sqrt(sum));
}

// The parameter as a matrix; more elements than a block of the sums has.
constexpr std::size_t rows = 50, columns = 86, count = rows * columns;
const std::vector<std::int64_t> shape{rows, columns};

/// What a definition works on: parameter, gradient (scaled), its state by name, step number and learning rate.
struct Problem {
  Values& p;
  const Values& g;
  std::map<std::string, Values>& state;
  int t;
  double lr;
  Values& of(const char* name) {
    Values& values = state[name];
    values.resize(p.size());
    return values;
  }
};

Values penalised(const Problem& at, double l2) {
  Values g = at.g;
  for (std::size_t i = 0; i < g.size(); ++i) g[i] += l2 * at.p[i];
  return g;
}

void decay(Problem& at, double weight_decay) {
  for (double& p : at.p) p -= at.lr * weight_decay * p;
}

void momentum(Problem& at, const Values& g, double mu, double dampening, bool nesterov) {
  Values& b = at.of("b");
  for (std::size_t i = 0; i < g.size(); ++i) {
    b[i] = at.t == 1 ? g[i] : mu * b[i] + (1 - dampening) * g[i];
    at.p[i] -= at.lr * (nesterov ? g[i] + mu * b[i] : b[i]);
  }
}

struct Corrected {
  Values m, v;
};

/// Both moments, corrected for their bias.
Corrected moments(Problem& at, const Values& g, double b1, double b2) {
  Values &m = at.of("m"), &v = at.of("v");
  Corrected result{m, v};
  for (std::size_t i = 0; i < g.size(); ++i) {
    m[i] = b1 * m[i] + (1 - b1) * g[i];
    v[i] = b2 * v[i] + (1 - b2) * g[i] * g[i];
    result.m[i] = m[i] / (1 - std::pow(b1, at.t));
    result.v[i] = v[i] / (1 - std::pow(b2, at.t));
  }
  return result;
}

void adam(Problem& at, double l2, double weight_decay) {
  const auto [m, v] = moments(at, penalised(at, l2), 0.9, 0.999);
  decay(at, weight_decay);
  for (std::size_t i = 0; i < at.p.size(); ++i) at.p[i] -= at.lr * m[i] / (std::sqrt(v[i]) + 1e-8);
}

void nadam(Problem& at, double psi, double weight_decay) {
  const auto mu = [&](int t) { return 0.9 * (1 - 0.5 * std::pow(0.96, t * psi)); };
  double product = 1;
  for (int t = 1; t <= at.t; ++t) product *= mu(t);
  const Values g = at.g;
  const auto [unused, v] = moments(at, g, 0.9, 0.999);
  decay(at, weight_decay);
  for (std::size_t i = 0; i < at.p.size(); ++i) {
    const double step =
        (1 - mu(at.t)) / (1 - product) * g[i] + mu(at.t + 1) / (1 - product * mu(at.t + 1)) * at.of("m")[i];
    at.p[i] -= at.lr * step / (std::sqrt(v[i]) + 1e-8);
  }
}

void rmsprop(Problem& at, double alpha, double epsilon, double mu, bool centered, double l2, double weight_decay) {
  const Values g = penalised(at, l2);
  decay(at, weight_decay);
  Values &s = at.of("s"), &a = at.of("a"), &b = at.of("b");
  for (std::size_t i = 0; i < g.size(); ++i) {
    s[i] = alpha * s[i] + (1 - alpha) * g[i] * g[i];
    a[i] = alpha * a[i] + (1 - alpha) * g[i];
    const double q = centered ? std::max(s[i] - a[i] * a[i], 0.0) : s[i];
    b[i] = mu * b[i] + g[i] / (std::sqrt(q) + epsilon);
    at.p[i] -= at.lr * b[i];
  }
}

void adagrad(Problem& at) {
  const Values g = at.g;
  decay(at, 0.1);
  Values& s = at.of("s");
  for (std::size_t i = 0; i < g.size(); ++i) {
    if (at.t == 1) s[i] = 0.1;
    s[i] += g[i] * g[i];
    at.p[i] -= at.lr / (1 + (at.t - 1) * 0.01) * g[i] / (std::sqrt(s[i]) + 1e-10);
  }
}

void adadelta(Problem& at) {
  const Values g = penalised(at, 0.05);
  decay(at, 0.01);
  Values &s = at.of("s"), &a = at.of("a");
  for (std::size_t i = 0; i < g.size(); ++i) {
    s[i] = 0.9 * s[i] + 0.1 * g[i] * g[i];
    const double d = std::sqrt(a[i] + 1e-6) / std::sqrt(s[i] + 1e-6) * g[i];
    a[i] = 0.9 * a[i] + 0.1 * d * d;
    at.p[i] -= at.lr * d;
  }
}

void lion(Problem& at) {
  decay(at, 0.5);
  Values& m = at.of("m");
  for (std::size_t i = 0; i < at.p.size(); ++i) {
    const double c = 0.9 * m[i] + 0.1 * at.g[i];
    at.p[i] -= at.lr * (c > 0 ? 1 : c < 0 ? -1 : 0);
    m[i] = 0.99 * m[i] + 0.01 * at.g[i];
  }
}

void lamb(Problem& at) {
  const auto [m, v] = moments(at, at.g, 0.9, 0.999);
  Values u(at.p.size());
  for (std::size_t i = 0; i < u.size(); ++i) u[i] = m[i] / (std::sqrt(v[i]) + 1e-6) + 0.1 * at.p[i];
  const double ratio = norm(at.p) / norm(u);
  for (std::size_t i = 0; i < u.size(); ++i) at.p[i] -= at.lr * ratio * u[i];
}

void lars(Problem& at, bool nesterov) {
  const double local = 0.02 * norm(at.p) / (norm(at.g) + 0.1 * norm(at.p) + 1e-8);
  Values g = penalised(at, 0.1);
  for (double& each : g) each *= local;
  momentum(at, g, 0.9, 0, nesterov);
}

void adafactor(Problem& at) {
  const double b2 = 1 - std::pow(at.t, -0.8);
  Values &r = at.of("r"), &c = at.of("c");
  for (std::size_t i = 0; i < rows; ++i) {
    double mean = 0;
    for (std::size_t j = 0; j < columns; ++j) mean += at.g[i * columns + j] * at.g[i * columns + j] / columns;
    r[i] = b2 * r[i] + (1 - b2) * (mean + 1e-30);
  }
  for (std::size_t j = 0; j < columns; ++j) {
    double mean = 0;
    for (std::size_t i = 0; i < rows; ++i) mean += at.g[i * columns + j] * at.g[i * columns + j] / rows;
    c[j] = b2 * c[j] + (1 - b2) * (mean + 1e-30);
  }
  double mean_row = 0;
  for (std::size_t i = 0; i < rows; ++i) mean_row += r[i] / rows;
  Values u(count);
  for (std::size_t i = 0; i < count; ++i) u[i] = at.g[i] / std::sqrt(r[i / columns] * c[i % columns] / mean_row);
  const double rms_u = norm(u) / std::sqrt(count), rms_p = norm(at.p) / std::sqrt(count);
  const double step = std::max(1e-3, rms_p) * std::min(at.lr, 1 / std::sqrt(at.t)) / std::max(1.0, rms_u);
  decay(at, 0.1);
  for (std::size_t i = 0; i < count; ++i) at.p[i] -= step * u[i];
}

Values product(const Values& a, const Values& b, std::size_t n, std::size_t inner, std::size_t m) {
  Values c(n * m);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < inner; ++k) {
      for (std::size_t j = 0; j < m; ++j) c[i * m + j] += a[i * inner + k] * b[k * m + j];
    }
  }
  return c;
}

void muon(Problem& at, double mu, bool nesterov, int iterations, double l2, double weight_decay, double scale) {
  const Values g = penalised(at, l2);
  Values& b = at.of("b");
  Values x(count);
  for (std::size_t i = 0; i < count; ++i) {
    b[i] = mu * b[i] + (1 - mu) * g[i];
    x[i] = nesterov ? mu * b[i] + (1 - mu) * g[i] : b[i];
  }
  const double length = norm(x) + 1e-7;
  for (double& each : x) each /= length;
  for (int k = 0; k < iterations; ++k) {
    Values turned(count);
    for (std::size_t i = 0; i < count; ++i) turned[i % columns * rows + i / columns] = x[i];
    Values a = product(x, turned, rows, columns, rows);
    const Values squared = product(a, a, rows, rows, rows);
    for (std::size_t i = 0; i < a.size(); ++i) a[i] = -4.7750 * a[i] + 2.0315 * squared[i];
    const Values more = product(a, x, rows, rows, columns);
    for (std::size_t i = 0; i < count; ++i) x[i] = 3.4445 * x[i] + more[i];
  }
  decay(at, weight_decay);
  for (std::size_t i = 0; i < count; ++i) at.p[i] -= at.lr * scale * x[i];
}

const std::map<std::string, std::function<void(Problem&)>>& definitions() {
  static const std::map<std::string, std::function<void(Problem&)>> all{
      {"sgd",
       [](Problem& at) {
         const Values g = penalised(at, 0.01);
         decay(at, 0.02);
         momentum(at, g, 0, 0, false);
       }},
      {"momentum", [](Problem& at) { momentum(at, penalised(at, 0.1), 0.9, 0.2, false); }},
      {"nesterov",
       [](Problem& at) {
         decay(at, 0.1);
         momentum(at, at.g, 0.9, 0, true);
       }},
      {"adam", [](Problem& at) { adam(at, 0.1, 0); }},
      {"adamw", [](Problem& at) { adam(at, 0, 0.3); }},
      {"nadam", [](Problem& at) { nadam(at, 0.1, 0.1); }},
      {"rmsprop", [](Problem& at) { rmsprop(at, 0.99, 1e-8, 0, false, 0.1, 0); }},
      {"rmsprop centered with momentum", [](Problem& at) { rmsprop(at, 0.9, 1e-3, 0.9, true, 0, 0.1); }},
      {"adagrad", adagrad},
      {"adadelta", adadelta},
      {"lion", lion},
      {"lamb", lamb},
      {"lars", [](Problem& at) { lars(at, false); }},
      {"lars nesterov", [](Problem& at) { lars(at, true); }},
      {"adafactor", adafactor},
      {"muon", [](Problem& at) { muon(at, 0.95, true, 5, 0, 0.1, 1); }},
      {"muon plain", [](Problem& at) { muon(at, 0.8, false, 3, 0.1, 0, 0.2 * std::sqrt(86.0)); }},
  };
  return all;
}

/// Gradients of a bowl around a point of its own for each element, with noise: no step is a repetition.
template <class T>
std::vector<T> gradient_at(const std::vector<T>& p, int t) {
  std::vector<T> g(p.size());
  for (std::size_t i = 0; i < g.size(); ++i)
    g[i] = static_cast<T>(0.3 * (static_cast<double>(p[i]) - uniform(1, i)) +
                          0.2 * uniform(1000 + static_cast<std::uint64_t>(t), i));
  return g;
}

}  // namespace

TEMPLATE_TEST_CASE("every rule follows its definition over 100 steps with decay, warm-up and clipping", "", double,
                   float) {
  constexpr double rtol = std::is_same_v<TestType, double> ? 1e-12 : 2e-5;
  for (const NamedRule& rule : all_rules()) {
    const auto optimizer = rule.make();
    const double top = optimizer->learning_rate();
    auto parameter = uniforms<TestType>(2, count);
    Values expected(parameter.begin(), parameter.end());
    std::map<std::string, Values> state;
    for (int t = 1; t <= 100; ++t) {
      const double lr = top * std::min(1.0, t / 10.0);
      optimizer->set_learning_rate(lr);
      auto gradient = gradient_at(parameter, t);
      Values wide(gradient.begin(), gradient.end());
      const double length = norm(wide), scale = length > 5.0 ? 5.0 / length : 1.0;
      for (double& each : wide) each *= scale;
      const Optimizer::TensorUpdate update{"weight", view(parameter), view(gradient), shape};
      optimizer->apply(std::span(&update, 1), scale);
      Problem at{expected, wide, state, t, lr};
      definitions().at(rule.name)(at);
      // The next gradient is taken at the parameter itself, so the two runs see the same gradients; what is compared is the rule.
      for (std::size_t i = 0; i < count; ++i) {
        const double error = std::fabs(static_cast<double>(parameter[i]) - expected[i]);
        if (error > rtol * std::max(1.0, std::fabs(expected[i])))
          FAIL(rule.name << ", step " << t << ": element " << i << " is " << parameter[i] << ", defined as "
                         << expected[i]);
      }
    }
    const Values start = [&] {
      auto values = uniforms<TestType>(2, count);
      return Values(values.begin(), values.end());
    }();
    double moved = 0;
    for (std::size_t i = 0; i < count; ++i) moved = std::max(moved, std::fabs(expected[i] - start[i]));
    CAPTURE(rule.name);
    REQUIRE(moved > 0.05);  // or nothing was compared
  }
}

TEMPLATE_TEST_CASE("every rule gives the same bits when its state was saved and restored half-way", "", double, float) {
  for (const NamedRule& rule : all_rules()) {
    const auto straight = rule.make(), before = rule.make(), after = rule.make();
    auto p = uniforms<TestType>(5, count), q = p;
    for (int t = 1; t <= 4; ++t) {
      auto g = uniforms<TestType>(30 + static_cast<std::uint64_t>(t), count);
      const Optimizer::TensorUpdate whole{"w", view(p), view(g), shape}, half{"w", view(q), view(g), shape};
      straight->apply(std::span(&whole, 1));
      if (t == 3) after->restore("w", before->saved("w"));
      (t < 3 ? before : after)->apply(std::span(&half, 1));
    }
    CAPTURE(rule.name);
    REQUIRE(std::memcmp(p.data(), q.data(), p.size() * sizeof(TestType)) == 0);
  }
}

TEST_CASE("a 16-bit parameter follows its f32 master, whatever the rule and the gradient's type") {
  const DType narrow = GENERATE(DType::bf16, DType::f16);
  for (const NamedRule& rule : all_rules()) {
    std::vector<std::uint16_t> values(count), gradients(count);
    std::vector<float> master(count), wide(count);
    // Multiples of 1/64 below 1 are exact in both formats.
    for (std::size_t i = 0; i < count; ++i) master[i] = static_cast<float>(std::round(uniform(3, i) * 64) / 64);
    const auto round_to = [&](const std::vector<float>& from, std::vector<std::uint16_t>& to) {
      for (std::size_t i = 0; i < count; ++i) kernels::reference::store(to.data(), narrow, i, from[i]);
    };
    round_to(master, values);
    const auto mixed = rule.make(), plain = rule.make();
    for (int t = 1; t <= 5; ++t) {
      for (std::size_t i = 0; i < count; ++i)
        wide[i] = static_cast<float>(std::round(uniform(40 + static_cast<std::uint64_t>(t), i) * 64) / 64);
      round_to(wide, gradients);
      const bool in_f32 = t % 2 == 0;
      const ConstTensorView gradient =
          in_f32 ? ConstTensorView(wide.data(), count, DType::f32) : ConstTensorView(gradients.data(), count, narrow);
      const Optimizer::TensorUpdate rounded{"w", TensorView(values.data(), count, narrow), gradient, shape};
      const Optimizer::TensorUpdate exact{"w", view(master), view(wide), shape};
      mixed->apply(std::span(&rounded, 1));
      plain->apply(std::span(&exact, 1));
      std::vector<std::uint16_t> expected(count);
      round_to(master, expected);
      CAPTURE(rule.name, t, name_of(narrow));
      REQUIRE(values == expected);
    }
    REQUIRE(std::memcmp(mixed->states().at("w").master->data, master.data(), count * sizeof(float)) == 0);
  }
}

TEST_CASE("rules for matrices take a tall one as its transpose, and vectors by their own formula") {
  std::vector<double> tall = uniforms<double>(1, 21), wide(21), g = uniforms<double>(2, 21), h(21);
  const auto turned = [](std::size_t i) { return i % 3 * 7 + i / 3; };  // of a 7 x 3 matrix
  for (std::size_t i = 0; i < 21; ++i) {
    wide[turned(i)] = tall[i];
    h[turned(i)] = g[i];
  }
  const std::vector<std::int64_t> tall_shape{7, 3}, wide_shape{3, 7};
  Muon a({.scale = MuonScale::match_adamw}), b({.scale = MuonScale::match_adamw});
  for (int t = 0; t < 3; ++t) {
    const Optimizer::TensorUpdate one{"w", view(tall), view(g), tall_shape},
        other{"w", view(wide), view(h), wide_shape};
    a.apply(std::span(&one, 1));
    b.apply(std::span(&other, 1));
  }
  for (std::size_t i = 0; i < 21; ++i) REQUIRE(tall[i] == Approx(wide[turned(i)]).epsilon(1e-12).margin(1e-14));

  std::vector<double> bias = uniforms<double>(3, 9), same = bias, gradient = uniforms<double>(4, 9);
  Muon muon({.adamw = {.learning_rate = 0.01}});
  AdamW adamw({.learning_rate = 0.01});
  for (const double factor : {1.0, 0.5}) {  // a schedule reaches both
    muon.set_learning_rate(muon.options().learning_rate * factor);
    adamw.set_learning_rate(0.01 * factor);
    muon.apply("bias", view(bias), view(gradient));
    adamw.apply("bias", view(same), view(gradient));
    for (std::size_t i = 0; i < 9; ++i) REQUIRE(bias[i] == Approx(same[i]).epsilon(1e-14));
  }

  Muon named({.by_adamw = {"head*"}});
  const Optimizer::TensorUpdate head{"head.weight", view(tall), view(g), tall_shape};
  named.apply(std::span(&head, 1));
  REQUIRE(named.states().at("head.weight").tensors[0].count == 0);
  REQUIRE(named.states().at("head.weight").tensors[1].count == 21);
}

TEST_CASE("Adafactor of a vector keeps one square per element, and of a matrix one per row and column") {
  Adafactor optimizer({.learning_rate = 0.5});
  std::vector<double> p{0.5, -2.0}, g{3.0, -0.1};
  optimizer.apply("v", view(p), view(g));
  // At t = 1 b2 is 0: V = g^2, U = sign(g) with a root mean square of 1, and the step is rms(p)*min(0.5, 1).
  const double step = std::sqrt((0.25 + 4.0) / 2) * 0.5;
  REQUIRE(p[0] == Approx(0.5 - step).epsilon(1e-12));
  REQUIRE(p[1] == Approx(-2.0 + step).epsilon(1e-12));

  std::vector<float> matrix = uniforms<float>(1, 15'000), gradient = uniforms<float>(2, 15'000);
  const std::vector<std::int64_t> tall{5'000, 3};  // more rows than a block of the column sums has
  const Optimizer::TensorUpdate update{"m", view(matrix), view(gradient), tall};
  optimizer.apply(std::span(&update, 1));
  const auto& state = optimizer.states().at("m").tensors;
  REQUIRE((state[0].count == 5'000 && state[1].count == 3 && state[2].count == 0));
  for (std::size_t c = 0; c < 3; ++c) {
    double mean = 0;
    for (std::size_t r = 0; r < 5'000; ++r) mean += std::pow(static_cast<double>(gradient[3 * r + c]), 2) / 5'000;
    REQUIRE(static_cast<double>(state[1].as<float>()[c]) == Approx(mean).epsilon(1e-6));
  }
}
