// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/isa.hpp"
#include "trireme/base/dtype.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace trireme::kernels {

/// What every update rule reads and writes: `count` elements each, arrays apart, any alignment.
///
/// Each rule begins with
///   g = gradient_scale*gradient, at most clip_value and at least -clip_value;  g = g + l2_penalty*p (when not 0)
/// and ends with p = p*keep - what the rule takes away. Settings are given in f64; what is computed from them alone is
/// computed in f64 and rounded once to `dtype`; then every operation is rounded on its own, in the order stated. Elements
/// are independent: any split gives the same bits, and so does every Isa. Powers are products, never pow(), whose bits
/// differ between processors.
struct UpdateSpan {
  DType dtype = DType::f32;  ///< f32 or f64: of parameter and state
  void* parameter = nullptr;
  const void* gradient = nullptr;
  DType gradient_dtype = DType::f32;  ///< dtype, or a narrower float, which is widened
  std::array<void*, 3> state{};       ///< as the rule says; zeros before its first step
  std::size_t count = 0;
  double gradient_scale = 1.0;                                  ///< clipping, loss scaling; 1 changes no bit
  double clip_value = std::numeric_limits<double>::infinity();  ///< of each element; NaN stays NaN
  double l2_penalty = 0.0;
  double keep = 1.0;     ///< 1 - learning_rate*weight_decay, decoupled; 1 changes no bit
  void* copy = nullptr;  ///< the new parameter once more, rounded; null: not wanted
  DType copy_dtype = DType::bf16;
};

/// Stochastic gradient descent. state: the momentum buffer b, none without momentum.
///   b = first_step ? g : momentum*b + (1-dampening)*g;  g = nesterov ? g + momentum*b : b  (with momentum)
///   p = p*keep - learning_rate*g
/// Source: Sutskever et al. 2013, in the form of PyTorch's torch.optim.SGD.
struct SgdRule {
  double learning_rate = 0.0;
  double momentum = 0.0;
  double dampening = 0.0;
  bool nesterov = false;
  bool first_step = false;  ///< the buffer holds nothing yet: it becomes the gradient, undamped
  friend bool operator==(const SgdRule&, const SgdRule&) = default;
};
void update(const UpdateSpan& span, const SgdRule& rule, Isa isa = best_isa()) noexcept;

/// Adam. state: first and second moment m, v; t is counted from 1.
///   m = b1*m + (1-b1)*g;  v = b2*v + ((1-b2)*g)*g
///   p = p*keep - ((lr/(1-b1^t)) * m) / (sqrt(v)/sqrt(1-b2^t) + eps)
/// Source: Kingma and Ba 2015 (arXiv:1412.6980); with keep, Loshchilov and Hutter 2019 (arXiv:1711.05101).
struct AdamRule {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  std::uint64_t step = 1;
  friend bool operator==(const AdamRule&, const AdamRule&) = default;
};
void update(const UpdateSpan& span, const AdamRule& rule, Isa isa = best_isa()) noexcept;

/// Adam with Nesterov momentum. state: m, v.
///   m, v as AdamRule
///   p = p*keep - (gradient_step*g + moment_step*m) / (sqrt(v)/sqrt(1-b2^t) + eps)
/// Source: Dozat 2016; the two step sizes come from its momentum schedule, see optim/nadam.hpp.
struct NadamRule {
  double gradient_step = 0.0;
  double moment_step = 0.0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  std::uint64_t step = 1;
  friend bool operator==(const NadamRule&, const NadamRule&) = default;
};
void update(const UpdateSpan& span, const NadamRule& rule, Isa isa = best_isa()) noexcept;

/// RMSProp. state: the mean square s; then b with momentum; then the mean a when centered.
///   s = alpha*s + ((1-alpha)*g)*g;  a = alpha*a + (1-alpha)*g;  q = centered ? max(s - a*a, 0) : s
///   d = g / (sqrt(q) + eps);  d = b = momentum*b + d (with momentum);  p = p*keep - learning_rate*d
/// Source: Hinton 2012 (lecture 6e); centered: Graves 2013 (arXiv:1308.0850).
struct RmspropRule {
  double learning_rate = 1e-2;
  double alpha = 0.99;
  double epsilon = 1e-8;
  double momentum = 0.0;
  bool centered = false;
  friend bool operator==(const RmspropRule&, const RmspropRule&) = default;
};
void update(const UpdateSpan& span, const RmspropRule& rule, Isa isa = best_isa()) noexcept;

/// Adagrad. state: the sum of squares s.
///   s = (first_step ? initial : s) + g*g;  p = p*keep - (learning_rate*g) / (sqrt(s) + eps)
/// Source: Duchi, Hazan, Singer, JMLR 2011.
struct AdagradRule {
  double learning_rate = 1e-2;
  double epsilon = 1e-10;
  double initial = 0.0;
  bool first_step = false;
  friend bool operator==(const AdagradRule&, const AdagradRule&) = default;
};
void update(const UpdateSpan& span, const AdagradRule& rule, Isa isa = best_isa()) noexcept;

/// Adadelta. state: mean squares of gradients s and of steps a.
///   s = rho*s + ((1-rho)*g)*g;  d = (sqrt(a + eps)/sqrt(s + eps))*g;  a = rho*a + ((1-rho)*d)*d
///   p = p*keep - learning_rate*d
/// Source: Zeiler 2012 (arXiv:1212.5701).
struct AdadeltaRule {
  double learning_rate = 1.0;
  double rho = 0.9;
  double epsilon = 1e-6;
  friend bool operator==(const AdadeltaRule&, const AdadeltaRule&) = default;
};
void update(const UpdateSpan& span, const AdadeltaRule& rule, Isa isa = best_isa()) noexcept;

/// Lion. state: the moment m.
///   p = p*keep - learning_rate*sign(b1*m + (1-b1)*g);  m = b2*m + (1-b2)*g;  sign(0) = 0
/// Source: Chen et al. 2023 (arXiv:2302.06675).
struct LionRule {
  double learning_rate = 1e-4;
  double beta1 = 0.9;
  double beta2 = 0.99;
  friend bool operator==(const LionRule&, const LionRule&) = default;
};
void update(const UpdateSpan& span, const LionRule& rule, Isa isa = best_isa()) noexcept;

/// LAMB's first pass. state: m, v, which it moves as AdamRule does; p stays. For each block of layout::reduction_block
/// elements it gives the sums of squares, in f64 and by the rule of norm.hpp, of the parameter and of the direction
///   u = ((1/(1-b1^t)) * m) / (sqrt(v)/sqrt(1-b2^t) + eps) + weight_decay*p
/// Shape: the span begins at a block edge of the logical tensor; 2 sums per block, p's first.
/// Source: You et al. 2020 (arXiv:1904.00962).
struct LambRule {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-6;
  double weight_decay = 0.0;
  std::uint64_t step = 1;
  double step_size = 0.0;  ///< of the second pass: learning rate times trust ratio
  friend bool operator==(const LambRule&, const LambRule&) = default;
};
void measure(const UpdateSpan& span, const LambRule& rule, double* block_sums, Isa isa = best_isa()) noexcept;
/// LAMB's second pass: p = p*keep - step_size*u, with u from m and v as the first pass left them.
void update(const UpdateSpan& span, const LambRule& rule, Isa isa = best_isa()) noexcept;

}  // namespace trireme::kernels
