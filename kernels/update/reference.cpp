// SPDX-License-Identifier: Apache-2.0
#include "kernels/update/reference.hpp"

#include "kernels/cast/reference.hpp"
#include "kernels/norm/reference.hpp"
#include "trireme/layout/flat_shards.hpp"

#include <algorithm>
#include <cmath>

namespace trireme::kernels::reference {
namespace {

/// b^n by squaring.
double power(double base, std::uint64_t n) {
  if (n == 0) return 1.0;
  // The factors in the order of the bits of n, the lowest first.
  double result = 1.0;
  for (double square = base; n != 0; n /= 2, square *= square) result = n % 2 == 1 ? result * square : result;
  return result;
}

/// Calls rule(p, g, state) -> what is taken away, for every element, all in T.
template <class T, class Rule>
void for_each(const UpdateSpan& span, Rule rule) {
  for (std::size_t i = 0; i < span.count; ++i) {
    const auto p = static_cast<T>(load(span.parameter, span.dtype, i));
    T g = static_cast<T>(load(span.gradient, span.gradient_dtype, i)) * static_cast<T>(span.gradient_scale);
    const auto bound = static_cast<T>(span.clip_value);
    if (g > bound) g = bound;
    if (g < -bound) g = -bound;
    if (span.l2_penalty != 0) g = g + static_cast<T>(span.l2_penalty) * p;
    T state[3] = {};
    for (int k = 0; k < 3; ++k) {
      if (span.state[k] != nullptr) state[k] = static_cast<T>(load(span.state[k], span.dtype, i));
    }
    const T next = p * static_cast<T>(span.keep) - rule(p, g, state);
    for (int k = 0; k < 3; ++k) {
      if (span.state[k] != nullptr) store(span.state[k], span.dtype, i, state[k]);
    }
    store(span.parameter, span.dtype, i, next);
    if (span.copy != nullptr) store(span.copy, span.copy_dtype, i, next);
  }
}

/// The same for a rule that is a template over T.
template <class Rule>
void for_each(const UpdateSpan& span, const Rule& rule) {
  if (span.dtype == DType::f64) return for_each<double>(span, rule.template in<double>());
  for_each<float>(span, rule.template in<float>());
}

struct Sgd {
  const SgdRule& rule;
  template <class T>
  auto in() const {
    return [r = rule](T, T g, T* state) {
      const auto momentum = static_cast<T>(r.momentum);
      if (r.momentum != 0) {
        T& b = state[0];
        b = r.first_step ? g : momentum * b + static_cast<T>(1.0 - r.dampening) * g;
        g = r.nesterov ? g + momentum * b : b;
      }
      return static_cast<T>(r.learning_rate) * g;
    };
  }
};

template <class T, class Rule>
void move_moments(const Rule& r, T g, T& m, T& v) {
  m = static_cast<T>(r.beta1) * m + static_cast<T>(1.0 - r.beta1) * g;
  v = static_cast<T>(r.beta2) * v + static_cast<T>(1.0 - r.beta2) * g * g;
}

template <class T, class Rule>
T denominator(const Rule& r, T v) {
  return std::sqrt(v) / static_cast<T>(std::sqrt(1.0 - power(r.beta2, r.step))) + static_cast<T>(r.epsilon);
}

struct Adam {
  const AdamRule& rule;
  template <class T>
  auto in() const {
    return [r = rule](T, T g, T* state) {
      move_moments(r, g, state[0], state[1]);
      return static_cast<T>(r.learning_rate / (1.0 - power(r.beta1, r.step))) * state[0] / denominator(r, state[1]);
    };
  }
};

struct Nadam {
  const NadamRule& rule;
  template <class T>
  auto in() const {
    return [r = rule](T, T g, T* state) {
      move_moments(r, g, state[0], state[1]);
      const T step = static_cast<T>(r.gradient_step) * g + static_cast<T>(r.moment_step) * state[0];
      return step / denominator(r, state[1]);
    };
  }
};

struct Rmsprop {
  const RmspropRule& rule;
  template <class T>
  auto in() const {
    return [r = rule](T, T g, T* state) {
      const auto alpha = static_cast<T>(r.alpha), rest = static_cast<T>(1.0 - r.alpha);
      T& s = state[0];
      T& b = state[1];
      T& a = state[r.momentum != 0 ? 2 : 1];
      s = alpha * s + rest * g * g;
      T q = s;
      if (r.centered) {
        a = alpha * a + rest * g;
        q = s - a * a;
        if (!(q > 0)) q = 0;
      }
      T d = g / (std::sqrt(q) + static_cast<T>(r.epsilon));
      if (r.momentum != 0) d = b = static_cast<T>(r.momentum) * b + d;
      return static_cast<T>(r.learning_rate) * d;
    };
  }
};

struct Adagrad {
  const AdagradRule& rule;
  template <class T>
  auto in() const {
    return [r = rule](T, T g, T* state) {
      T& s = state[0];
      if (r.first_step) s = static_cast<T>(r.initial);
      s = s + g * g;
      return static_cast<T>(r.learning_rate) * g / (std::sqrt(s) + static_cast<T>(r.epsilon));
    };
  }
};

struct Adadelta {
  const AdadeltaRule& rule;
  template <class T>
  auto in() const {
    return [r = rule](T, T g, T* state) {
      const auto rho = static_cast<T>(r.rho), rest = static_cast<T>(1.0 - r.rho);
      const auto epsilon = static_cast<T>(r.epsilon);
      T& s = state[0];
      T& a = state[1];
      s = rho * s + rest * g * g;
      const T d = std::sqrt(a + epsilon) / std::sqrt(s + epsilon) * g;
      a = rho * a + rest * d * d;
      return static_cast<T>(r.learning_rate) * d;
    };
  }
};

struct Lion {
  const LionRule& rule;
  template <class T>
  auto in() const {
    return [r = rule](T, T g, T* state) {
      T& m = state[0];
      const T direction = static_cast<T>(r.beta1) * m + static_cast<T>(1.0 - r.beta1) * g;
      m = static_cast<T>(r.beta2) * m + static_cast<T>(1.0 - r.beta2) * g;
      const auto rate = static_cast<T>(r.learning_rate);
      if (direction > 0) return rate;
      if (direction < 0) return -rate;
      return rate * direction;
    };
  }
};

template <class T>
T lamb_direction(const LambRule& r, T p, T m, T v) {
  const T adam = static_cast<T>(1.0 / (1.0 - power(r.beta1, r.step))) * m / denominator(r, v);
  return adam + static_cast<T>(r.weight_decay) * p;
}

struct Lamb {
  const LambRule& rule;
  template <class T>
  auto in() const {
    return
        [r = rule](T p, T, T* state) { return static_cast<T>(r.step_size) * lamb_direction(r, p, state[0], state[1]); };
  }
};

template <class T>
void measure_lamb(const UpdateSpan& span, const LambRule& rule, double* block_sums) {
  UpdateSpan moving = span;
  moving.keep = 1.0;
  moving.copy = nullptr;
  T directions[layout::reduction_block], values[layout::reduction_block];
  std::size_t at = 0;
  for_each<T>(moving, [&](T p, T g, T* state) {
    move_moments(rule, g, state[0], state[1]);
    directions[at % layout::reduction_block] = lamb_direction(rule, p, state[0], state[1]);
    values[at % layout::reduction_block] = p;
    ++at;
    if (at % layout::reduction_block == 0 || at == span.count) {
      const std::size_t size = (at - 1) % layout::reduction_block + 1;
      *block_sums++ = sum_of_squares(values, span.dtype, size);
      *block_sums++ = sum_of_squares(directions, span.dtype, size);
    }
    return T(0);  // p*1 - 0: the parameter stays
  });
}

}  // namespace

void update(const UpdateSpan& span, const SgdRule& rule) noexcept { for_each(span, Sgd{rule}); }
void update(const UpdateSpan& span, const AdamRule& rule) noexcept { for_each(span, Adam{rule}); }
void update(const UpdateSpan& span, const NadamRule& rule) noexcept { for_each(span, Nadam{rule}); }
void update(const UpdateSpan& span, const RmspropRule& rule) noexcept { for_each(span, Rmsprop{rule}); }
void update(const UpdateSpan& span, const AdagradRule& rule) noexcept { for_each(span, Adagrad{rule}); }
void update(const UpdateSpan& span, const AdadeltaRule& rule) noexcept { for_each(span, Adadelta{rule}); }
void update(const UpdateSpan& span, const LionRule& rule) noexcept { for_each(span, Lion{rule}); }
void update(const UpdateSpan& span, const LambRule& rule) noexcept { for_each(span, Lamb{rule}); }
void measure(const UpdateSpan& span, const LambRule& rule, double* block_sums) noexcept {
  if (span.dtype == DType::f64) return measure_lamb<double>(span, rule, block_sums);
  measure_lamb<float>(span, rule, block_sums);
}

}  // namespace trireme::kernels::reference
