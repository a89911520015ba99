// SPDX-License-Identifier: Apache-2.0
#include "kernels/pack/reference.hpp"

#include "kernels/cast/reference.hpp"

namespace trireme::kernels::reference {
namespace {

double scaled(double value, double scale, DType dtype) noexcept {
  if (dtype == DType::f64) return value * scale;
  return static_cast<double>(static_cast<float>(value) * static_cast<float>(scale));
}

}  // namespace

void pack(const PackCall& call) noexcept {
  for (const PackedTensor& tensor : call.tensors) {
    for (std::size_t i = 0; i < tensor.count; ++i) {
      const double value = load(tensor.data, call.tensor_dtype, i);
      store(call.buffer, call.buffer_dtype, tensor.offset + i, scaled(value, call.scale, call.tensor_dtype));
    }
  }
}

void unpack(const PackCall& call) noexcept {
  for (const PackedTensor& tensor : call.tensors) {
    for (std::size_t i = 0; i < tensor.count; ++i) {
      const double value = load(call.buffer, call.buffer_dtype, tensor.offset + i);
      store(tensor.data, call.tensor_dtype, i, scaled(value, call.scale, call.buffer_dtype));
    }
  }
}

}  // namespace trireme::kernels::reference
