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
  constexpr std::size_t count = 4096 + 203;  // two blocks of the sums
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
      optimizer->apply("weight", view(parameter), view(gradient), scale);
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
    auto p = uniforms<TestType>(5, 5000), q = p;
    for (int t = 1; t <= 4; ++t) {
      auto g = uniforms<TestType>(30 + static_cast<std::uint64_t>(t), 5000);
      straight->apply("w", view(p), view(g));
      if (t == 3) after->restore("w", before->saved("w"));
      (t < 3 ? before : after)->apply("w", view(q), view(g));
    }
    CAPTURE(rule.name);
    REQUIRE(std::memcmp(p.data(), q.data(), p.size() * sizeof(TestType)) == 0);
  }
}

TEST_CASE("a 16-bit parameter follows its f32 master, whatever the rule and the gradient's type") {
  const DType narrow = GENERATE(DType::bf16, DType::f16);
  for (const NamedRule& rule : all_rules()) {
    constexpr std::size_t count = 4100;
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
      mixed->apply(
          "w", TensorView(values.data(), count, narrow),
          in_f32 ? ConstTensorView(wide.data(), count, DType::f32) : ConstTensorView(gradients.data(), count, narrow));
      plain->apply("w", view(master), view(wide));
      std::vector<std::uint16_t> expected(count);
      round_to(master, expected);
      CAPTURE(rule.name, t, name_of(narrow));
      REQUIRE(values == expected);
    }
    REQUIRE(std::memcmp(mixed->states().at("w").master->data, master.data(), count * sizeof(float)) == 0);
  }
}
