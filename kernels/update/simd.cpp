// SPDX-License-Identifier: Apache-2.0
#include "kernels/update/simd.hpp"

#include "kernels/formats.hpp"

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

struct Root {
  static float of(float value) { return __builtin_sqrtf(value); }
  static double of(double value) { return __builtin_sqrt(value); }
};

/// One loop for every rule: Rule<T> is made from the constants, and rule(p, g, s0, s1, s2) moves the state of one element
/// and returns what is taken from p*keep. `states` of them are there.
template <class S, int states, bool penalised, class Rule>
void loop(const UpdateSpan& span, const Rule& rule) noexcept {
  using T = typename S::Value;
  typename S::Raw* p = static_cast<typename S::Raw*>(span.parameter);
  const typename S::Raw* gradient = static_cast<const typename S::Raw*>(span.gradient);
  typename S::Raw* s0 = static_cast<typename S::Raw*>(states > 0 ? span.state[0] : nullptr);
  typename S::Raw* s1 = static_cast<typename S::Raw*>(states > 1 ? span.state[1] : nullptr);
  typename S::Raw* s2 = static_cast<typename S::Raw*>(states > 2 ? span.state[2] : nullptr);
  const auto scale = static_cast<T>(span.gradient_scale);
  const auto bound = static_cast<T>(span.clip_value);
  const auto penalty = static_cast<T>(span.l2_penalty);
  const auto keep = static_cast<T>(span.keep);
  const Rule r = rule;  // a local: stores may alias the one given, as far as is known
  const std::size_t count = span.count;
  TRIREME_KERNELS_INDEPENDENT
  for (std::size_t i = 0; i < count; ++i) {
    T g = gradient[i] * scale;
    g = g > bound ? bound : g;
    g = g < -bound ? -bound : g;
    if constexpr (penalised) g = g + penalty * p[i];
    T a = 0, b = 0, c = 0;
    if constexpr (states > 0) a = s0[i];
    if constexpr (states > 1) b = s1[i];
    if constexpr (states > 2) c = s2[i];
    const T step = r(static_cast<T>(p[i]), g, a, b, c);
    if constexpr (states > 0) s0[i] = a;
    if constexpr (states > 1) s1[i] = b;
    if constexpr (states > 2) s2[i] = c;
    p[i] = p[i] * keep - step;
  }
}

template <int states, template <class> class Rule, class Constants>
void run(const UpdateSpan& span, const Constants& constants) noexcept {
  if (span.dtype == DType::f64) {
    const Rule<double> rule(constants);
    return span.l2_penalty != 0.0 ? loop<F64, states, true>(span, rule) : loop<F64, states, false>(span, rule);
  }
  const Rule<float> rule(constants);
  span.l2_penalty != 0.0 ? loop<F32, states, true>(span, rule) : loop<F32, states, false>(span, rule);
}

template <class T>
struct Descent {
  explicit Descent(const SgdConstants& c) : rate(static_cast<T>(c.learning_rate)) {}
  T operator()(T, T g, T&, T&, T&) const { return rate * g; }
  T rate;
};

template <class T, bool first, bool nesterov>
struct MomentumBase {
  explicit MomentumBase(const SgdConstants& c)
      : rate(static_cast<T>(c.learning_rate)),
        momentum(static_cast<T>(c.momentum)),
        undamped(static_cast<T>(c.undamped)) {}
  T operator()(T, T g, T& b, T&, T&) const {
    b = first ? g : momentum * b + undamped * g;
    return rate * (nesterov ? g + momentum * b : b);
  }
  T rate, momentum, undamped;
};
template <class T>
using FirstMomentum = MomentumBase<T, true, false>;
template <class T>
using Momentum = MomentumBase<T, false, false>;
template <class T>
using FirstNesterov = MomentumBase<T, true, true>;
template <class T>
using Nesterov = MomentumBase<T, false, true>;

template <class T>
struct Moments {
  template <class Constants>
  explicit Moments(const Constants& c)
      : beta1(static_cast<T>(c.beta1)),
        beta1_complement(static_cast<T>(c.beta1_complement)),
        beta2(static_cast<T>(c.beta2)),
        beta2_complement(static_cast<T>(c.beta2_complement)) {}
  void move(T g, T& m, T& v) const {
    m = beta1 * m + beta1_complement * g;
    v = beta2 * v + (beta2_complement * g) * g;
  }
  T beta1, beta1_complement, beta2, beta2_complement;
};

template <class T>
struct Adam {
  explicit Adam(const AdamConstants& c)
      : moments(c),
        step_size(static_cast<T>(c.step_size)),
        correction2(static_cast<T>(c.correction2)),
        epsilon(static_cast<T>(c.epsilon)) {}
  T operator()(T, T g, T& m, T& v, T&) const {
    moments.move(g, m, v);
    return (step_size * m) / (Root::of(v) / correction2 + epsilon);
  }
  Moments<T> moments;
  T step_size, correction2, epsilon;
};

template <class T>
struct Nadam {
  explicit Nadam(const NadamConstants& c)
      : moments(c),
        gradient_step(static_cast<T>(c.gradient_step)),
        moment_step(static_cast<T>(c.moment_step)),
        correction2(static_cast<T>(c.correction2)),
        epsilon(static_cast<T>(c.epsilon)) {}
  T operator()(T, T g, T& m, T& v, T&) const {
    moments.move(g, m, v);
    return (gradient_step * g + moment_step * m) / (Root::of(v) / correction2 + epsilon);
  }
  Moments<T> moments;
  T gradient_step, moment_step, correction2, epsilon;
};

/// The states in order: s; b if there is momentum; a if centered.
template <class T, bool heavy, bool centered>
struct RmspropBase {
  explicit RmspropBase(const RmspropConstants& c)
      : rate(static_cast<T>(c.learning_rate)),
        alpha(static_cast<T>(c.alpha)),
        alpha_complement(static_cast<T>(c.alpha_complement)),
        epsilon(static_cast<T>(c.epsilon)),
        momentum(static_cast<T>(c.momentum)) {}
  T operator()(T, T g, T& s, T& second, T& third) const {
    T& b = second;
    T& a = heavy ? third : second;
    s = alpha * s + (alpha_complement * g) * g;
    T q = s;
    if constexpr (centered) {
      a = alpha * a + alpha_complement * g;
      q = s - a * a;
      q = q > 0 ? q : T(0);
    }
    T d = g / (Root::of(q) + epsilon);
    if constexpr (heavy) d = b = momentum * b + d;
    return rate * d;
  }
  T rate, alpha, alpha_complement, epsilon, momentum;
};
template <class T>
using Rmsprop = RmspropBase<T, false, false>;
template <class T>
using RmspropMomentum = RmspropBase<T, true, false>;
template <class T>
using RmspropCentered = RmspropBase<T, false, true>;
template <class T>
using RmspropCenteredMomentum = RmspropBase<T, true, true>;

template <class T, bool first>
struct AdagradBase {
  explicit AdagradBase(const AdagradConstants& c)
      : rate(static_cast<T>(c.learning_rate)), epsilon(static_cast<T>(c.epsilon)), initial(static_cast<T>(c.initial)) {}
  T operator()(T, T g, T& s, T&, T&) const {
    s = (first ? initial : s) + g * g;
    return (rate * g) / (Root::of(s) + epsilon);
  }
  T rate, epsilon, initial;
};
template <class T>
using FirstAdagrad = AdagradBase<T, true>;
template <class T>
using Adagrad = AdagradBase<T, false>;

template <class T>
struct Adadelta {
  explicit Adadelta(const AdadeltaConstants& c)
      : rate(static_cast<T>(c.learning_rate)),
        rho(static_cast<T>(c.rho)),
        rho_complement(static_cast<T>(c.rho_complement)),
        epsilon(static_cast<T>(c.epsilon)) {}
  T operator()(T, T g, T& s, T& a, T&) const {
    s = rho * s + (rho_complement * g) * g;
    const T d = (Root::of(a + epsilon) / Root::of(s + epsilon)) * g;
    a = rho * a + (rho_complement * d) * d;
    return rate * d;
  }
  T rate, rho, rho_complement, epsilon;
};

template <class T>
struct Lion {
  explicit Lion(const LionConstants& c) : rate(static_cast<T>(c.learning_rate)), moments(c) {}
  T operator()(T, T g, T& m, T&, T&) const {
    const T direction = moments.beta1 * m + moments.beta1_complement * g;
    m = moments.beta2 * m + moments.beta2_complement * g;
    return direction > 0 ? rate : direction < 0 ? -rate : rate * direction;  // 0 stays 0, NaN stays NaN
  }
  T rate;
  Moments<T> moments;
};

template <class T>
struct LambDirection {
  explicit LambDirection(const LambConstants& c)
      : correction1(static_cast<T>(c.correction1)),
        correction2(static_cast<T>(c.correction2)),
        epsilon(static_cast<T>(c.epsilon)),
        weight_decay(static_cast<T>(c.weight_decay)) {}
  T of(T p, T m, T v) const { return (correction1 * m) / (Root::of(v) / correction2 + epsilon) + weight_decay * p; }
  T correction1, correction2, epsilon, weight_decay;
};

template <class T>
struct Lamb {
  explicit Lamb(const LambConstants& c) : direction(c), step_size(static_cast<T>(c.step_size)) {}
  T operator()(T p, T, T& m, T& v, T&) const { return step_size * direction.of(p, m, v); }
  LambDirection<T> direction;
  T step_size;
};

template <class S>
void directions_of(const UpdateSpan& span, const LambConstants& constants, void* directions) noexcept {
  using T = typename S::Value;
  const typename S::Raw* p = static_cast<const typename S::Raw*>(span.parameter);
  const typename S::Raw* gradient = static_cast<const typename S::Raw*>(span.gradient);
  typename S::Raw* first = static_cast<typename S::Raw*>(span.state[0]);
  typename S::Raw* second = static_cast<typename S::Raw*>(span.state[1]);
  typename S::Raw* out = static_cast<typename S::Raw*>(directions);
  const auto scale = static_cast<T>(span.gradient_scale);
  const auto bound = static_cast<T>(span.clip_value);
  const auto penalty = static_cast<T>(span.l2_penalty);
  const bool penalised = span.l2_penalty != 0.0;
  const Moments<T> moments(constants);
  const LambDirection<T> direction(constants);
  const std::size_t count = span.count;
  TRIREME_KERNELS_INDEPENDENT
  for (std::size_t i = 0; i < count; ++i) {
    T g = gradient[i] * scale;
    g = g > bound ? bound : g;
    g = g < -bound ? -bound : g;
    g = penalised ? g + penalty * p[i] : g;
    T m = first[i], v = second[i];
    moments.move(g, m, v);
    first[i] = m;
    second[i] = v;
    out[i] = direction.of(p[i], m, v);
  }
}

}  // namespace

void update(const UpdateSpan& span, const SgdConstants& c) noexcept {
  if (c.momentum == 0.0) return run<0, Descent>(span, c);
  if (c.nesterov) return c.first_step ? run<1, FirstNesterov>(span, c) : run<1, Nesterov>(span, c);
  c.first_step ? run<1, FirstMomentum>(span, c) : run<1, Momentum>(span, c);
}
void update(const UpdateSpan& span, const AdamConstants& c) noexcept { run<2, Adam>(span, c); }
void update(const UpdateSpan& span, const NadamConstants& c) noexcept { run<2, Nadam>(span, c); }
void update(const UpdateSpan& span, const RmspropConstants& c) noexcept {
  if (c.momentum != 0.0)
    return c.centered ? run<3, RmspropCenteredMomentum>(span, c) : run<2, RmspropMomentum>(span, c);
  c.centered ? run<2, RmspropCentered>(span, c) : run<1, Rmsprop>(span, c);
}
void update(const UpdateSpan& span, const AdagradConstants& c) noexcept {
  c.first_step ? run<1, FirstAdagrad>(span, c) : run<1, Adagrad>(span, c);
}
void update(const UpdateSpan& span, const AdadeltaConstants& c) noexcept { run<2, Adadelta>(span, c); }
void update(const UpdateSpan& span, const LionConstants& c) noexcept { run<1, Lion>(span, c); }
void update(const UpdateSpan& span, const LambConstants& c) noexcept { run<2, Lamb>(span, c); }
void lamb_directions(const UpdateSpan& span, const LambConstants& c, void* directions) noexcept {
  span.dtype == DType::f64 ? directions_of<F64>(span, c, directions) : directions_of<F32>(span, c, directions);
}

}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
