// SPDX-License-Identifier: Apache-2.0
#include "ps/update_unit.hpp"

#include "trireme/base/error.hpp"
#include "trireme/layout/flat_shards.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

namespace trireme::ps {
namespace {

bool has_master(DType dtype) { return dtype == DType::f16 || dtype == DType::bf16; }
DType state_dtype(DType dtype) { return has_master(dtype) ? DType::f32 : dtype; }

void copy(std::byte* to, const std::byte* from, std::size_t bytes) {
  if (bytes != 0) std::memcpy(to, from, bytes);
}

}  // namespace

UpdateUnit::UpdateUnit(const TensorInfo& tensor, layout::Interval range, std::unique_ptr<Optimizer> optimizer)
    : tensor_(&tensor), range_(range), optimizer_(std::move(optimizer)) {
  if (!optimizer_) return;
  const std::string where = "tensor '" + tensor.name + "'";
  if (tensor.dtype != DType::f32 && tensor.dtype != DType::f64 && !has_master(tensor.dtype))
    fail(ErrorCode::unsupported,
         where + " is " + std::string(name_of(tensor.dtype)) + "; servers update f64, f32, f16 and bf16");
  if (tensor.accumulator != state_dtype(tensor.dtype))
    fail(ErrorCode::invalid_argument, where + " is " + std::string(name_of(tensor.dtype)) +
                                          ", its gradients travel in " + std::string(name_of(tensor.accumulator)) +
                                          "; it must be " + std::string(name_of(state_dtype(tensor.dtype))));
  const std::size_t count = tensor.count();
  if (range.begin % layout::reduction_block != 0 || (range.end % layout::reduction_block != 0 && range.end != count))
    fail(ErrorCode::invalid_argument, where + ": a key's elements [" + std::to_string(range.begin) + ", " +
                                          std::to_string(range.end) +
                                          ") are to be updated on a server, hence to begin and end at a multiple of " +
                                          std::to_string(layout::reduction_block));
}

std::span<std::byte> UpdateUnit::values(layout::Interval part) {
  if (values_.size() != value_bytes(range_)) values_.resize(value_bytes(range_));
  return std::span(values_).subspan((part.begin - range_.begin) * size_of(tensor_->dtype), value_bytes(part));
}

std::span<std::byte> UpdateUnit::gradient(layout::Interval part) {
  const std::size_t size = size_of(tensor_->accumulator);
  if (gradient_.size() != range_.size() * size) gradient_.resize(range_.size() * size);
  return std::span(gradient_).subspan((part.begin - range_.begin) * size, part.size() * size);
}

TensorShape UpdateUnit::shape() const {
  return optimizer_->shape_for(
      tensor_->name, tensor_->shape.empty() ? TensorShape{1, tensor_->count()} : TensorShape::of(tensor_->shape));
}

std::vector<UpdateUnit::StatePart> UpdateUnit::state_parts(layout::Interval part) const {
  std::vector<StatePart> parts;
  if (!optimizer_) return parts;
  const std::size_t whole = tensor_->count(), size = size_of(state_dtype(tensor_->dtype));
  const auto add = [&](const std::string& name, std::size_t elements) {
    if (elements == whole) {
      parts.push_back({name, part.size() * size, (part.begin - range_.begin) * size});
    } else {
      parts.push_back({name, part.begin == range_.begin ? elements * size : 0, 0});
    }
  };
  const TensorShape form = shape();
  for (std::size_t i = 0; i < optimizer_->state_names().size(); ++i)
    add(optimizer_->state_names()[i], optimizer_->state_count(i, form));
  if (has_master(tensor_->dtype)) add("master", whole);
  return parts;
}

std::string UpdateUnit::misfit(layout::Interval part, const std::vector<std::string>& names,
                               std::size_t payload_bytes) const {
  std::size_t bytes = value_bytes(part);
  if (!names.empty()) {
    const auto parts = state_parts(part);
    for (const std::string& name : names) {
      const auto known = std::find_if(parts.begin(), parts.end(), [&](const auto& each) { return each.name == name; });
      if (known == parts.end()) return "the rule here has no state '" + name + "'";
      if (std::count(names.begin(), names.end(), name) != 1) return "state '" + name + "' is named twice";
      bytes += known->bytes;
    }
    for (const StatePart& each : parts) {
      if (each.bytes != 0 && std::find(names.begin(), names.end(), each.name) == names.end())
        return "state '" + each.name + "' is missing";
    }
  }
  if (payload_bytes == bytes) return {};
  return "there are " + std::to_string(payload_bytes) + " bytes where " + std::to_string(bytes) + " belong";
}

const Optimizer::State* UpdateUnit::state() const {
  if (!optimizer_) return nullptr;
  const auto found = optimizer_->states().find(tensor_->name);
  return found == optimizer_->states().end() ? nullptr : &found->second;
}

std::uint64_t UpdateUnit::steps() const { return state() == nullptr ? 0 : state()->steps; }

const TensorView& UpdateUnit::tensor_of(const Optimizer& optimizer, const Optimizer::State& state,
                                        const std::string& name) {
  for (std::size_t i = 0; i < state.tensors.size(); ++i) {
    if (optimizer.state_names()[i] == name) return state.tensors[i];
  }
  return *state.master;
}

void UpdateUnit::set(layout::Interval part, std::span<const std::byte> payload, std::uint64_t steps,
                     const std::vector<std::string>& names, bool anew) {
  const std::size_t bytes = value_bytes(part);
  copy(values(part).data(), payload.data(), bytes);
  if (!optimizer_) return;
  if (anew) optimizer_->forget();
  if (names.empty() && (steps == 0 || has_master(tensor_->dtype))) return;
  if (names.empty() && !optimizer_->state_names().empty()) return;  // steps without the state that belongs to them
  if (state() == nullptr) {
    Optimizer::SavedState form{steps, tensor_->dtype, range_.size(), shape(), range_.begin, {}};
    optimizer_->make_room(tensor_->name, form);
  }
  const auto parts = state_parts(part);
  std::size_t at = bytes;
  for (const std::string& name : names) {
    const auto where = std::find_if(parts.begin(), parts.end(), [&](const auto& each) { return each.name == name; });
    auto* const to = static_cast<std::byte*>(tensor_of(*optimizer_, *state(), name).data);
    copy(to + where->offset, payload.data() + at, where->bytes);
    at += where->bytes;
  }
}

Payload UpdateUnit::saved(layout::Interval part, std::vector<std::string>& names,
                          std::vector<std::uint64_t>& bytes) const {
  Payload payload;
  const std::byte* const first = values_.data() + (part.begin - range_.begin) * size_of(tensor_->dtype);
  payload.assign(first, first + value_bytes(part));
  bytes.push_back(payload.size());
  const Optimizer::State* const from = state();
  if (from == nullptr) return payload;
  for (const StatePart& each : state_parts(part)) {
    const auto* data = static_cast<const std::byte*>(tensor_of(*optimizer_, *from, each.name).data);
    if (each.bytes != 0) payload.insert(payload.end(), data + each.offset, data + each.offset + each.bytes);
    names.push_back(each.name);
    bytes.push_back(each.bytes);
  }
  return payload;
}

void UpdateUnit::apply(const std::byte* gradient, double scale, double clip_value, double learning_rate) {
  optimizer_->set_learning_rate(learning_rate);
  const Optimizer::TensorUpdate update{.parameter = tensor_->name,
                                       .value = TensorView(values_.data(), range_.size(), tensor_->dtype),
                                       .gradient = ConstTensorView(gradient, range_.size(), tensor_->accumulator),
                                       .shape = tensor_->shape,
                                       .first = range_.begin};
  optimizer_->apply(std::span(&update, 1), scale,
                    clip_value > 0 ? clip_value : std::numeric_limits<double>::infinity());
}

}  // namespace trireme::ps
