// SPDX-License-Identifier: Apache-2.0
// What each rule makes of one element: rule(p, g, s0, s1, s2) moves the state and returns what is taken from p*keep. Included by
// simd.cpp, once per instruction set, and by cuda.cu, so that host and device compute the same in the same order. As in
// formats.hpp all of it lies in an unnamed namespace, and no inline function of the standard library is called.
// TRIREME_RULE stands before what devices call.
#pragma once

#include "kernels/update/simd.hpp"

#include <math.h>

#if !defined(TRIREME_KERNELS_ISA)
#error "define TRIREME_KERNELS_ISA: the namespace"
#endif
#if !defined(TRIREME_RULE)
#define TRIREME_RULE
#endif

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

// Exact: rounded once, on devices too.
TRIREME_RULE float root(float value) { return ::sqrtf(value); }
TRIREME_RULE double root(double value) { return ::sqrt(value); }

template <class T>
struct Descent {
  explicit Descent(const SgdConstants& c) : rate(static_cast<T>(c.learning_rate)) {}
  TRIREME_RULE T operator()(T, T g, T&, T&, T&) const { return rate * g; }
  T rate;
};

template <class T, bool first, bool nesterov>
struct MomentumBase {
  explicit MomentumBase(const SgdConstants& c)
      : rate(static_cast<T>(c.learning_rate)),
        momentum(static_cast<T>(c.momentum)),
        undamped(static_cast<T>(c.undamped)) {}
  TRIREME_RULE T operator()(T, T g, T& b, T&, T&) const {
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
  TRIREME_RULE void move(T g, T& m, T& v) const {
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
  TRIREME_RULE T operator()(T, T g, T& m, T& v, T&) const {
    moments.move(g, m, v);
    return (step_size * m) / (root(v) / correction2 + epsilon);
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
  TRIREME_RULE T operator()(T, T g, T& m, T& v, T&) const {
    moments.move(g, m, v);
    return (gradient_step * g + moment_step * m) / (root(v) / correction2 + epsilon);
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
  TRIREME_RULE T operator()(T, T g, T& s, T& second, T& third) const {
    T& b = second;
    T& a = heavy ? third : second;
    s = alpha * s + (alpha_complement * g) * g;
    T q = s;
    if constexpr (centered) {
      a = alpha * a + alpha_complement * g;
      q = s - a * a;
      q = q > 0 ? q : T(0);
    }
    T d = g / (root(q) + epsilon);
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
  TRIREME_RULE T operator()(T, T g, T& s, T&, T&) const {
    s = (first ? initial : s) + g * g;
    return (rate * g) / (root(s) + epsilon);
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
  TRIREME_RULE T operator()(T, T g, T& s, T& a, T&) const {
    s = rho * s + (rho_complement * g) * g;
    const T d = (root(a + epsilon) / root(s + epsilon)) * g;
    a = rho * a + (rho_complement * d) * d;
    return rate * d;
  }
  T rate, rho, rho_complement, epsilon;
};

template <class T>
struct Lion {
  explicit Lion(const LionConstants& c) : rate(static_cast<T>(c.learning_rate)), moments(c) {}
  TRIREME_RULE T operator()(T, T g, T& m, T&, T&) const {
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
  TRIREME_RULE T of(T p, T m, T v) const {
    return (correction1 * m) / (root(v) / correction2 + epsilon) + weight_decay * p;
  }
  T correction1, correction2, epsilon, weight_decay;
};

template <class T>
struct Lamb {
  explicit Lamb(const LambConstants& c) : direction(c), step_size(static_cast<T>(c.step_size)) {}
  TRIREME_RULE T operator()(T p, T, T& m, T& v, T&) const { return step_size * direction.of(p, m, v); }
  LambDirection<T> direction;
  T step_size;
};

// choose(constants, run) calls run.of<states, Rule>(constants) with the rule that the settings mean.

template <class Run>
void choose(const SgdConstants& c, const Run& run) {
  if (c.momentum == 0.0) return run.template of<0, Descent>(c);
  if (c.nesterov) return c.first_step ? run.template of<1, FirstNesterov>(c) : run.template of<1, Nesterov>(c);
  c.first_step ? run.template of<1, FirstMomentum>(c) : run.template of<1, Momentum>(c);
}
template <class Run>
void choose(const AdamConstants& c, const Run& run) {
  run.template of<2, Adam>(c);
}
template <class Run>
void choose(const NadamConstants& c, const Run& run) {
  run.template of<2, Nadam>(c);
}
template <class Run>
void choose(const RmspropConstants& c, const Run& run) {
  if (c.momentum != 0.0)
    return c.centered ? run.template of<3, RmspropCenteredMomentum>(c) : run.template of<2, RmspropMomentum>(c);
  c.centered ? run.template of<2, RmspropCentered>(c) : run.template of<1, Rmsprop>(c);
}
template <class Run>
void choose(const AdagradConstants& c, const Run& run) {
  c.first_step ? run.template of<1, FirstAdagrad>(c) : run.template of<1, Adagrad>(c);
}
template <class Run>
void choose(const AdadeltaConstants& c, const Run& run) {
  run.template of<2, Adadelta>(c);
}
template <class Run>
void choose(const LionConstants& c, const Run& run) {
  run.template of<1, Lion>(c);
}
template <class Run>
void choose(const LambConstants& c, const Run& run) {
  run.template of<2, Lamb>(c);
}

}  // namespace
}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
