// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/isa.hpp"
#include "trireme/base/dtype.hpp"

#include <cstddef>

namespace trireme::kernels {

/// Arguments of sgd(). Hyperparameters are given in f64; what is computed from them alone is computed in f64 and then
/// rounded to the type of the parameters.
struct SgdCall {
  DType dtype = DType::f32;  ///< f32 or f64: of all three arrays
  void* parameter = nullptr;
  const void* gradient = nullptr;
  void* momentum_buffer = nullptr;  ///< may be null when momentum is 0
  std::size_t count = 0;
  double learning_rate = 0.0;
  double momentum = 0.0;
  double dampening = 0.0;
  double weight_decay = 0.0;  ///< L2: added to the gradient
  bool nesterov = false;
  bool first_step = false;      ///< the buffer holds nothing yet: it becomes the gradient, undamped
  double gradient_scale = 1.0;  ///< multiplies the gradient first (clipping); 1 changes no bit
};

/// One step of stochastic gradient descent with momentum, element by element, every operation rounded on its own:
///   g = gradient_scale*gradient;  g = g + weight_decay*p (when not 0);
///   buf = first_step ? g : momentum*buf + (1-dampening)*g (when momentum is not 0);
///   g = nesterov ? g + momentum*buf : buf (when momentum is not 0);
///   p = p - learning_rate*g.
/// Shape:  `count` elements each; any alignment; arrays apart. Elements are independent: any split gives the same bits,
///         and so does every Isa.
/// Source: Sutskever et al. 2013, in the form of PyTorch's torch.optim.SGD.
void sgd(const SgdCall& call, Isa isa = best_isa()) noexcept;

}  // namespace trireme::kernels
