// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/isa.hpp"
#include "trireme/base/dtype.hpp"

#include <cstddef>
#include <cstdint>

namespace trireme::kernels {

/// Arguments of adamw(). Hyperparameters are given in f64; what is computed from them alone is computed in f64 and then
/// rounded to the type of the parameters.
struct AdamWCall {
  DType dtype = DType::f32;  ///< f32 or f64: of all four arrays
  void* parameter = nullptr;
  const void* gradient = nullptr;
  void* first_moment = nullptr;   ///< zeros before the first step
  void* second_moment = nullptr;  ///< zeros before the first step
  std::size_t count = 0;
  std::uint64_t step = 1;  ///< t, counted from 1
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.01;   ///< decoupled
  double gradient_scale = 1.0;  ///< multiplies the gradient first (clipping); 1 changes no bit
};

/// One step of Adam with decoupled weight decay, element by element, every operation rounded on its own:
///   g = gradient_scale*gradient;  p = p * (1 - lr*wd);
///   m = b1*m + (1-b1)*g;  v = b2*v + ((1-b2)*g)*g;
///   p = p - ((lr/(1-b1^t)) * m) / (sqrt(v)/sqrt(1-b2^t) + eps).
/// Shape:  `count` elements each; any alignment; arrays apart. Elements are independent: any split gives the same bits,
///         and so does every Isa. Powers are products, not pow(), whose bits differ between processors.
/// Source: Loshchilov and Hutter 2019 (arXiv:1711.05101), in the form of PyTorch's torch.optim.AdamW.
void adamw(const AdamWCall& call, Isa isa = best_isa()) noexcept;

}  // namespace trireme::kernels
