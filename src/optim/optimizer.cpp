// SPDX-License-Identifier: Apache-2.0
#include "trireme/optim/optimizer.hpp"

#include "kernels/float_environment.hpp"
#include "trireme/base/error.hpp"

namespace trireme {

void Optimizer::apply(const std::string& parameter, TensorView value, ConstTensorView gradient, double gradient_scale) {
  if (value.dtype != DType::f32 && value.dtype != DType::f64) {
    fail(ErrorCode::unsupported, std::string(name()) + ": parameter '" + parameter + "' is " +
                                     std::string(name_of(value.dtype)) + "; this version updates f32 and f64");
  }
  if (gradient.dtype != value.dtype || gradient.count != value.count) {
    fail(ErrorCode::invalid_argument, std::string(name()) + ": parameter '" + parameter + "' has " +
                                          std::to_string(value.count) + " " + std::string(name_of(value.dtype)) +
                                          ", its gradient " + std::to_string(gradient.count) + " " +
                                          std::string(name_of(gradient.dtype)));
  }
  auto [entry, fresh] = states_.try_emplace(parameter);
  State& state = entry->second;
  if (fresh) {
    state.dtype = value.dtype;
    state.count = value.count;
    const std::size_t units = (value.size_bytes() + sizeof(double) - 1) / sizeof(double);
    for (std::size_t i = 0; i < state_names().size(); ++i) {
      state.storage.emplace_back(units, 0.0);
      state.tensors.emplace_back(state.storage.back().data(), value.count, value.dtype);
    }
  } else if (state.dtype != value.dtype || state.count != value.count) {
    fail(ErrorCode::invalid_argument, std::string(name()) + ": parameter '" + parameter + "' had " +
                                          std::to_string(state.count) + " " + std::string(name_of(state.dtype)) +
                                          " before, now " + std::to_string(value.count) + " " +
                                          std::string(name_of(value.dtype)));
  }
  ++state.steps;
  const kernels::FloatEnvironment environment;
  update({.value = value,
          .gradient = gradient,
          .state = state.tensors,
          .step = state.steps,
          .gradient_scale = gradient_scale});
}

}  // namespace trireme
