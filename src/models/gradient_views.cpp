// SPDX-License-Identifier: Apache-2.0
#include "models/gradient_views.hpp"

#include "trireme/base/error.hpp"
#include "trireme/data/aligned_buffer.hpp"

#include <cstddef>
#include <cstdint>
#include <string>

namespace trireme::models {
namespace {

constexpr std::size_t gradient_alignment = data::AlignedBuffer<std::byte>::alignment;

void check_view(const Parameter& own, const Parameter& given) {
  const std::string which = "the gradient for '" + own.name + "'";
  const TensorView& view = given.gradient;
  if (given.name != own.name || view.count != own.gradient.count || view.dtype != own.gradient.dtype) {
    fail(ErrorCode::invalid_argument, which + " is that of '" + given.name + "', " + std::to_string(view.count) +
                                          " elements of " + std::string(name_of(view.dtype)));
  }
  if (view.device != own.gradient.device || view.data == nullptr ||
      reinterpret_cast<std::uintptr_t>(view.data) % gradient_alignment != 0) {
    const Device device = own.gradient.device;
    const std::string memory =
        device.kind == DeviceKind::cpu ? "host memory" : "memory of device " + std::to_string(device.index);
    fail(ErrorCode::invalid_argument,
         which + " is not " + memory + " aligned to " + std::to_string(gradient_alignment) + " bytes");
  }
}

}  // namespace

bool adopt_gradients(std::vector<Parameter>& own, std::span<const Parameter> given) {
  if (given.size() != own.size()) {
    fail(ErrorCode::invalid_argument, "gradients of " + std::to_string(given.size()) +
                                          " parameters are not those of a model of " + std::to_string(own.size()));
  }
  for (std::size_t p = 0; p < own.size(); ++p) check_view(own[p], given[p]);
  bool all_moved = true;  // a DataParallel without views hands out the model's own list
  for (std::size_t p = 0; p < own.size(); ++p) {
    all_moved &= given[p].gradient.data != own[p].gradient.data;
    own[p].gradient = given[p].gradient;
  }
  return all_moved;
}

}  // namespace trireme::models
