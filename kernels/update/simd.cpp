// SPDX-License-Identifier: Apache-2.0
#include "kernels/update/simd.hpp"

#include "kernels/formats.hpp"
#include "kernels/update/rules.hpp"

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

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

/// What choose() calls with the rule.
struct OnSpan {
  const UpdateSpan& span;
  template <int states, template <class> class Rule, class Constants>
  void of(const Constants& constants) const noexcept {
    if (span.dtype == DType::f64) {
      const Rule<double> rule(constants);
      return span.l2_penalty != 0.0 ? loop<F64, states, true>(span, rule) : loop<F64, states, false>(span, rule);
    }
    const Rule<float> rule(constants);
    span.l2_penalty != 0.0 ? loop<F32, states, true>(span, rule) : loop<F32, states, false>(span, rule);
  }
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

void update(const UpdateSpan& span, const SgdConstants& c) noexcept { choose(c, OnSpan{span}); }
void update(const UpdateSpan& span, const AdamConstants& c) noexcept { choose(c, OnSpan{span}); }
void update(const UpdateSpan& span, const NadamConstants& c) noexcept { choose(c, OnSpan{span}); }
void update(const UpdateSpan& span, const RmspropConstants& c) noexcept { choose(c, OnSpan{span}); }
void update(const UpdateSpan& span, const AdagradConstants& c) noexcept { choose(c, OnSpan{span}); }
void update(const UpdateSpan& span, const AdadeltaConstants& c) noexcept { choose(c, OnSpan{span}); }
void update(const UpdateSpan& span, const LionConstants& c) noexcept { choose(c, OnSpan{span}); }
void update(const UpdateSpan& span, const LambConstants& c) noexcept { choose(c, OnSpan{span}); }
void lamb_directions(const UpdateSpan& span, const LambConstants& c, void* directions) noexcept {
  span.dtype == DType::f64 ? directions_of<F64>(span, c, directions) : directions_of<F32>(span, c, directions);
}

}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
