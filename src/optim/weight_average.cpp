// SPDX-License-Identifier: Apache-2.0
#include "trireme/optim/weight_average.hpp"

#include "kernels/cast/cast.hpp"
#include "kernels/float_environment.hpp"
#include "kernels/norm/step_scale.hpp"
#include "kernels/update/update.hpp"
#include "kernels/update/update_device.hpp"
#include "optim/on_device.hpp"
#include "optim/setting_check.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace trireme {
namespace {

DType average_dtype(DType dtype) { return dtype == DType::f64 ? DType::f64 : DType::f32; }

/// Elements of the whole of which `parameter` has a part.
std::size_t whole_count(const Parameter& parameter) {
  std::size_t count = 1;
  for (const std::int64_t side : parameter.shape) count *= static_cast<std::size_t>(side);
  return std::max(count, parameter.value.count);
}

bool is_on_a_device(Device device) { return device.kind != DeviceKind::cpu; }

}  // namespace

void* WeightAverage::Kept::data() {
  return is_on_a_device(device) ? memory.data() : static_cast<void*>(storage.data());
}
const void* WeightAverage::Kept::data() const {
  return is_on_a_device(device) ? memory.data() : static_cast<const void*>(storage.data());
}

WeightAverage::WeightAverage(const WeightAverageOptions& options) : options_(options) {
  optim::check_setting("weight average", "decay", options.decay, 0.0, 1.0);
}

void WeightAverage::check(std::span<const Parameter> parameters, std::span<const std::size_t> firsts) const {
  if (!firsts.empty() && firsts.size() != parameters.size()) {
    fail(ErrorCode::invalid_argument, "weight average: " + std::to_string(parameters.size()) +
                                          " parameters, but where " + std::to_string(firsts.size()) + " begin");
  }
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const Parameter& each = parameters[i];
    const std::string which = "weight average: parameter '" + each.name + "'";
    const bool known = each.value.dtype == DType::f64 || each.value.dtype == DType::f32 ||
                       each.value.dtype == DType::f16 || each.value.dtype == DType::bf16;
    if (!known) fail(ErrorCode::unsupported, which + " is " + std::string(name_of(each.value.dtype)));
    if (!firsts.empty() && each.value.count != 0 && firsts[i] > whole_count(each) - each.value.count)
      fail(ErrorCode::invalid_argument, which + " has no such part");
    if (is_on_a_device(each.value.device) && !(on_device_ && on_device_->device() == each.value.device))
      fail(ErrorCode::invalid_argument, which + " lies on a device: use_device() takes a stream of it");
    if (updates_ == 0) continue;
    const auto found = kept_.find(each.name);
    if (found == kept_.end()) fail(ErrorCode::invalid_argument, which + " was not among the first ones");
    if (found->second.count != each.value.count || found->second.dtype != average_dtype(each.value.dtype))
      fail(ErrorCode::invalid_argument, which + " had another count or dtype before");
    if (!firsts.empty() && each.value.count != 0 && found->second.place.first != firsts[i]) {
      fail(ErrorCode::invalid_argument, which + ": its part began at " + std::to_string(found->second.place.first) +
                                            " before, now at " + std::to_string(firsts[i]) +
                                            "; restore() takes averages of other parts");
    }
  }
  if (updates_ != 0 && parameters.size() != kept_.size()) {
    fail(ErrorCode::invalid_argument, "weight average: " + std::to_string(parameters.size()) +
                                          " parameters, but it was begun with " + std::to_string(kept_.size()));
  }
}

void WeightAverage::use_device(std::shared_ptr<device::Runtime> runtime, Stream stream) {
  if (!runtime || !is_on_a_device(stream.device) || stream.pointer == nullptr)
    fail(ErrorCode::invalid_argument,
         "weight average: use_device() takes a runtime and a stream of one of its devices");
  for (auto& [name, kept] : kept_) {
    if (is_on_a_device(kept.device))
      fail(ErrorCode::invalid_argument, "weight average: use_device() comes before the first update()");
  }
  on_device_ = std::make_shared<optim::OnDevice>(std::move(runtime), stream);
}

void WeightAverage::give_room(Kept& kept, Device device) const {
  kept.device = device;
  if (is_on_a_device(device)) {
    kept.memory = device::Buffer(on_device_->runtime(), device.index, kept.count * size_of(kept.dtype));
  } else {
    kept.storage = ArrayMemory(kept.count * size_of(kept.dtype));
  }
}

void WeightAverage::move_to(Kept& kept, Device device) const {
  if (kept.device == device) return;
  Kept moved;
  moved.dtype = kept.dtype;
  moved.count = kept.count;
  moved.place = kept.place;
  give_room(moved, device);
  on_device_->copy(moved.data(), kept.data(), kept.count * size_of(kept.dtype));
  on_device_->synchronize();
  kept = std::move(moved);
}

void WeightAverage::update(std::span<const Parameter> parameters, std::span<const std::size_t> firsts) {
  if (is_put_) fail(ErrorCode::invalid_argument, "weight average: update() between put() and take_back()");
  check(parameters, firsts);
  if (updates_ == 0 && !kept_.empty()) {  // of an attempt that failed
    if (on_device_) on_device_->synchronize();
    kept_.clear();
  }
  const kernels::FloatEnvironment environment;
  const auto n = static_cast<double>(updates_);
  double weight = 1.0 / (n + 1.0);
  if (options_.kind == AverageKind::exponential)
    weight = 1.0 - (options_.warmup ? std::min(options_.decay, (1.0 + n) / (10.0 + n)) : options_.decay);
  // a*(1-w) - (-w)*p: what descent does with p for a gradient.
  const kernels::SgdRule descent{.learning_rate = -weight};
  std::vector<kernels::UpdateSpan> adopted, moved;  // on the device
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const Parameter& each = parameters[i];
    auto [entry, fresh] = kept_.try_emplace(each.name);
    Kept& kept = entry->second;
    const bool on_device = is_on_a_device(each.value.device);
    if (fresh) {
      kept.dtype = average_dtype(each.value.dtype);
      kept.count = each.value.count;
      kept.place = {firsts.empty() || kept.count == 0 ? 0 : firsts[i], whole_count(each)};
      give_room(kept, each.value.device);
    } else {
      move_to(kept, each.value.device);
    }
    const kernels::UpdateSpan span{.dtype = kept.dtype,
                                   .parameter = kept.data(),
                                   .gradient = each.value.data,
                                   .gradient_dtype = each.value.dtype,
                                   .count = kept.count,
                                   .keep = 1.0 - weight};
    if (on_device) {
      (fresh ? adopted : moved).push_back(span);
    } else if (fresh) {
      kernels::cast(span.parameter, span.dtype, span.gradient, span.gradient_dtype, span.count);
    } else {
      kernels::update(span, descent);
    }
  }
  if (!adopted.empty()) kernels::adopt(adopted, on_device_->queue());
  if (!moved.empty()) kernels::update(moved, descent, on_device_->queue());
  ++updates_;
}

bool WeightAverage::update(std::span<const Parameter> parameters, DeviceStepScale scale) {
  if (scale.data == nullptr || !on_device_) {
    fail(ErrorCode::invalid_argument, std::string("weight average: a step's scale ") +
                                          (on_device_ ? "that is null" : "on a device, without use_device()"));
  }
  if (is_put_) fail(ErrorCode::invalid_argument, "weight average: update() between put() and take_back()");
  check(parameters, {});
  on_device_->ask(scale.data);
  if (on_device_->verdict().skip != 0) return false;
  update(parameters);
  return true;
}

void WeightAverage::put(std::span<const Parameter> parameters) {
  if (updates_ == 0) fail(ErrorCode::invalid_argument, "weight average: put() before the first update()");
  if (is_put_) fail(ErrorCode::invalid_argument, "weight average: put() twice without take_back()");
  check(parameters, {});
  for (const Parameter& each : parameters) {  // all room is there before any value is replaced
    Kept& kept = kept_.find(each.name)->second;
    move_to(kept, each.value.device);
    const std::size_t bytes = each.value.size_bytes();
    if (!is_on_a_device(kept.device))
      kept.values.resize(bytes);
    else if (kept.value_memory.size_bytes() != bytes)
      kept.value_memory = device::Buffer(on_device_->runtime(), kept.device.index, bytes);
  }
  std::vector<kernels::UpdateSpan> rounded;  // on the device
  for (const Parameter& each : parameters) {
    Kept& kept = kept_.find(each.name)->second;
    const std::size_t bytes = each.value.size_bytes();
    if (is_on_a_device(kept.device)) {
      on_device_->copy(kept.value_memory.data(), each.value.data, bytes);
      if (kept.dtype == each.value.dtype) {
        on_device_->copy(each.value.data, kept.data(), bytes);
      } else {
        rounded.push_back({.dtype = kept.dtype,
                           .parameter = kept.data(),
                           .gradient = kept.data(),
                           .gradient_dtype = kept.dtype,
                           .count = kept.count,
                           .copy = each.value.data,
                           .copy_dtype = each.value.dtype});
      }
      continue;
    }
    if (kept.count == 0) continue;
    std::memcpy(kept.values.data(), each.value.data, kept.values.size());
    kernels::cast(each.value.data, each.value.dtype, kept.data(), kept.dtype, kept.count);
  }
  if (!rounded.empty()) kernels::adopt(rounded, on_device_->queue());
  is_put_ = true;
}

void WeightAverage::take_back(std::span<const Parameter> parameters) {
  if (!is_put_) fail(ErrorCode::invalid_argument, "weight average: take_back() without put()");
  check(parameters, {});
  for (const Parameter& each : parameters) {
    const Kept& kept = kept_.find(each.name)->second;
    if (!(kept.device == each.value.device)) {
      fail(ErrorCode::invalid_argument,
           "weight average: parameter '" + each.name + "' lay elsewhere when its average was put in its place");
    }
    if (kept.count == 0) continue;
    if (is_on_a_device(kept.device)) {
      on_device_->copy(each.value.data, kept.value_memory.data(), each.value.size_bytes());
    } else {
      std::memcpy(each.value.data, kept.values.data(), kept.values.size());
    }
  }
  is_put_ = false;
}

std::vector<std::string> WeightAverage::names() const {
  std::vector<std::string> names;
  for (const auto& [name, kept] : kept_) names.push_back(name);
  return names;
}

ConstTensorView WeightAverage::average(std::string_view parameter) const {
  const auto found = kept_.find(parameter);
  if (found == kept_.end()) return {};
  return {found->second.data(), found->second.count, found->second.dtype, found->second.device};
}

WeightAverage::Place WeightAverage::place(std::string_view parameter) const {
  const auto found = kept_.find(parameter);
  return found == kept_.end() ? Place{} : found->second.place;
}

void WeightAverage::restore(std::uint64_t updates, std::span<const std::pair<std::string, ConstTensorView>> averages,
                            std::span<const Place> places) {
  if (!places.empty() && places.size() != averages.size()) {
    fail(ErrorCode::invalid_argument, "weight average: " + std::to_string(averages.size()) + " saved averages, but " +
                                          std::to_string(places.size()) + " places of them");
  }
  std::map<std::string, Kept, std::less<>> restored;
  for (std::size_t i = 0; i < averages.size(); ++i) {
    const auto& [name, tensor] = averages[i];
    if (tensor.dtype != DType::f32 && tensor.dtype != DType::f64) {
      fail(ErrorCode::invalid_argument, "weight average: the saved average of '" + name + "' is " +
                                            std::string(name_of(tensor.dtype)) + "; they are f32 or f64");
    }
    Kept kept;
    kept.dtype = tensor.dtype;
    kept.count = tensor.count;
    kept.place = places.empty() ? Place{0, tensor.count} : places[i];
    kept.storage = ArrayMemory(tensor.count * size_of(tensor.dtype));
    if (is_on_a_device(tensor.device)) {
      if (!on_device_) {
        fail(ErrorCode::invalid_argument, "weight average: the saved average of '" + name +
                                              "' lies on a device: use_device() says how it is reached");
      }
      on_device_->copy(kept.storage.data(), tensor.data, tensor.size_bytes());
      on_device_->synchronize();
    } else if (tensor.count != 0) {
      std::memcpy(kept.storage.data(), tensor.data, tensor.size_bytes());
    }
    restored[name] = std::move(kept);
  }
  if (on_device_) on_device_->synchronize();
  kept_ = std::move(restored);
  updates_ = updates;
  is_put_ = false;
}

}  // namespace trireme
