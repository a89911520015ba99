// SPDX-License-Identifier: Apache-2.0
#include "models/gradient_memory.hpp"

#include "trireme/base/error.hpp"
#include "trireme/data/aligned_buffer.hpp"

#include <cstdint>
#include <string>

namespace trireme::models {

bool use_gradient_memory(std::vector<Parameter>& own, std::span<const Parameter> given) {
  constexpr std::size_t alignment = data::AlignedBuffer<std::byte>::alignment;
  if (given.size() != own.size()) {
    fail(ErrorCode::invalid_argument, "gradients of " + std::to_string(given.size()) +
                                          " parameters are not those of a model of " + std::to_string(own.size()));
  }
  for (std::size_t p = 0; p < given.size(); ++p) {
    const TensorView& gradient = given[p].gradient;
    const std::string which = "the gradient for '" + own[p].name + "'";
    if (given[p].name != own[p].name || gradient.count != own[p].gradient.count ||
        gradient.dtype != own[p].gradient.dtype) {
      fail(ErrorCode::invalid_argument, which + " is that of '" + given[p].name + "', " +
                                            std::to_string(gradient.count) + " elements of " +
                                            std::string(name_of(gradient.dtype)));
    }
    if (gradient.device.kind != DeviceKind::cpu || gradient.data == nullptr ||
        reinterpret_cast<std::uintptr_t>(gradient.data) % alignment != 0) {
      fail(ErrorCode::invalid_argument,
           which + " is not host memory aligned to " + std::to_string(alignment) + " bytes");
    }
  }
  bool own_are_used = false;  // a DataParallel without views hands out the model's own list
  for (std::size_t p = 0; p < given.size(); ++p) {
    own_are_used |= given[p].gradient.data == own[p].gradient.data;
    own[p].gradient = given[p].gradient;
  }
  return own_are_used;
}

}  // namespace trireme::models
