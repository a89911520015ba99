// SPDX-License-Identifier: Apache-2.0
#include "trireme/optim/optimizer.hpp"

#include "optim/host_work.hpp"
#include "optim/on_device.hpp"
#include "optim/setting_check.hpp"
#include "optim/state_file.hpp"
#include "optim/state_layout.hpp"
#include "trireme/base/error.hpp"
#include "trireme/layout/flat_shards.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace trireme {
namespace {

using optim::has_master, optim::on_a_device, optim::padded, optim::state_dtype, optim::text_of;

constexpr const char* master_name = "master";

}  // namespace

TensorShape TensorShape::of(std::span<const std::int64_t> shape) {
  TensorShape result{1, 1};
  for (std::size_t d = 0; d < shape.size(); ++d) {
    auto& side = d == 0 && shape.size() > 1 ? result.rows : result.columns;
    side *= static_cast<std::size_t>(shape[d]);
  }
  return result;
}

Optimizer::Optimizer(const char* name, const OptimizerRates& rates)
    : rates_(rates), host_(std::make_shared<optim::HostWork>()) {
  optim::check_setting(name, "learning_rate", rates.learning_rate, 0.0);
  optim::check_setting(name, "l2_penalty", rates.l2_penalty, 0.0);
  optim::check_setting(name, "weight_decay", rates.weight_decay, 0.0);
}

std::size_t Optimizer::state_count(std::size_t, const TensorShape& shape) const { return shape.count(); }

TensorShape Optimizer::shape_for(std::string_view, const TensorShape& shape) const { return shape; }

void Optimizer::prepare(const TensorShape&) {}

void Optimizer::measure(const SpanUpdate&, const OptimizerRates&, std::span<double>) const noexcept {}

bool Optimizer::update_on_device(const optim::DeviceUpdates&) const { return false; }

void Optimizer::set_learning_rate(double learning_rate) {
  optim::check_setting(std::string(name()).c_str(), "learning_rate", learning_rate, 0.0);
  rates_.learning_rate = learning_rate;
}

void Optimizer::add_group(ParameterGroup group) {
  const std::string where = std::string(name()) + ": group '" + group.name + "'";
  if (group.parameters.empty()) fail(ErrorCode::invalid_argument, where + " has no parameters");
  optim::check_setting(where.c_str(), "learning_rate_scale", group.learning_rate_scale, 0.0);
  if (group.l2_penalty) optim::check_setting(where.c_str(), "l2_penalty", *group.l2_penalty, 0.0);
  if (group.weight_decay) optim::check_setting(where.c_str(), "weight_decay", *group.weight_decay, 0.0);
  groups_.push_back(std::move(group));
  for (auto& [name, state] : states_) state.group.reset();
}

std::size_t Optimizer::group_of(std::string_view parameter) const {
  const auto group =
      std::find_if(groups_.begin(), groups_.end(), [&](const ParameterGroup& each) { return each.has(parameter); });
  return static_cast<std::size_t>(group - groups_.begin());
}

OptimizerRates Optimizer::rates_of_group(std::size_t group) const {
  OptimizerRates rates = rates_;
  if (group == groups_.size()) return rates;
  const ParameterGroup& own = groups_[group];
  rates.learning_rate *= own.learning_rate_scale;
  rates.l2_penalty = own.l2_penalty.value_or(rates.l2_penalty);
  rates.weight_decay = own.weight_decay.value_or(rates.weight_decay);
  return rates;
}

OptimizerRates Optimizer::rates(std::string_view parameter) const { return rates_of_group(group_of(parameter)); }

void Optimizer::check_part(const std::string& where, const Form& form) const {
  const std::size_t whole = form.shape.count();
  if (form.count == 0) return;
  const bool is_inside = form.first <= whole && form.count <= whole - form.first;
  const std::size_t end = form.first + form.count;
  if (!is_inside || form.first % layout::reduction_block != 0 || (end % layout::reduction_block != 0 && end != whole)) {
    fail(ErrorCode::invalid_argument, where + " has " + text_of(form.count, form.dtype) +
                                          (form.first == 0 ? "" : " from " + std::to_string(form.first) + " on") +
                                          ", but its shape " + std::to_string(whole) +
                                          " elements: a part of a tensor begins at a multiple of " +
                                          std::to_string(layout::reduction_block) + " and ends at one or at the end");
  }
  if (form.count != whole && scope() == UpdateScope::tensor) {
    fail(ErrorCode::invalid_argument,
         where + " is a part, " + std::to_string(form.count) + " of " + std::to_string(whole) +
             " elements, but this rule needs whole tensors: DataParallelOptions::zero_whole_tensors cuts between them");
  }
}

Optimizer::State Optimizer::make_state(const Form& form, bool on_device) {
  State state;
  state.dtype = form.dtype;
  state.count = form.count;
  state.shape = form.shape;
  state.first = form.first;
  const DType kept = state_dtype(form.dtype);
  const std::size_t whole = form.shape.count();
  std::vector<std::size_t> counts;
  for (std::size_t i = 0; i < state_names().size(); ++i) {
    std::size_t elements = state_count(i, form.shape);
    if (form.count != whole && form.count != 0 && elements != whole && elements != 0) {
      fail(ErrorCode::unsupported, std::string(name()) + ": the state '" + state_names()[i] +
                                       "' is not element-wise, so there is none of a part of a tensor");
    }
    if (form.count != whole) elements = elements == 0 ? 0 : form.count;
    counts.push_back(elements);
  }
  if (form.count == whole || form.count != 0) prepare(form.shape);
  if (has_master(form.dtype)) counts.push_back(form.count);
  std::size_t bytes = 0;
  for (const std::size_t elements : counts) bytes += padded(elements * size_of(kept));
  if (host_->file && bytes != 0) {
    state.extent = std::make_shared<optim::StateExtent>(host_->file, bytes);
  } else if (on_device) {
    state.device = on_device_->device();
    state.memory = device::Buffer(on_device_->runtime(), state.device.index, bytes);
    on_device_->runtime()->fill(state.memory.data(), std::byte{0}, bytes, on_device_->queue().stream);
  }
  for (std::size_t at = 0; const std::size_t elements : counts) {
    if (state.extent) {
      state.tensors.emplace_back(nullptr, elements, kept);
    } else if (on_device) {
      state.tensors.push_back(state.memory.view(kept, elements, at));
      at += padded(elements * size_of(kept));
    } else {
      state.storage.emplace_back(elements * size_of(kept));
      state.tensors.emplace_back(state.storage.back().data(), elements, kept);
    }
  }
  if (has_master(form.dtype)) {
    state.master = state.tensors.back();
    state.tensors.pop_back();
  }
  return state;
}

void Optimizer::move_state(State& state, bool to_device) {
  State moved = make_state({state.dtype, state.shape, state.first, state.count}, to_device);
  moved.steps = state.steps;
  moved.group = state.group;
  const auto from = named_tensors(state), to = named_tensors(moved);
  for (std::size_t i = 0; i < to.size(); ++i)
    on_device_->copy(to[i].second.data, from[i].second.data, from[i].second.size_bytes());
  on_device_->synchronize();
  state = std::move(moved);
}

std::optional<Stream> Optimizer::device_stream() const {
  return on_device_ ? std::optional(on_device_->stream()) : std::nullopt;
}

void Optimizer::use_device(std::shared_ptr<device::Runtime> runtime, Stream stream) {
  const std::string where = std::string(name()) + ": use_device()";
  if (!runtime || !on_a_device(stream.device) || stream.pointer == nullptr)
    fail(ErrorCode::invalid_argument, where + " takes a runtime and a stream of one of its devices");
  settle();
  if (on_device_) {
    on_device_->synchronize();
    const bool same = on_device_->runtime() == runtime && on_device_->device() == stream.device;
    for (const auto& [parameter, state] : states_) {
      if (!same && on_a_device(state.device))
        fail(ErrorCode::invalid_argument,
             where + ": the state of parameter '" + parameter + "' lies on another device");
    }
  }
  on_device_ = std::make_shared<optim::OnDevice>(std::move(runtime), stream);
}

const Optimizer::States& Optimizer::states() const {
  settle();
  return states_;
}

void Optimizer::forget() {
  if (on_device_) {
    on_device_->drop_question();
    on_device_->finish();
  }
  states_.clear();
  host_->half_done.clear();
}

void Optimizer::forget(std::string_view parameter) {
  settle();
  if (on_device_) on_device_->finish();
  const auto found = states_.find(parameter);
  if (found != states_.end()) states_.erase(found);
}

Optimizer::SavedState Optimizer::saved(std::string_view parameter) const {
  settle();
  refuse_half_done();
  const auto found = states_.find(parameter);
  if (found == states_.end()) {
    fail(ErrorCode::invalid_argument,
         std::string(name()) + ": there is no state of parameter '" + std::string(parameter) + "'");
  }
  const State& state = found->second;
  SavedState saved{state.steps, state.dtype, state.count, state.shape, state.first, {}};
  for (const auto& [name, tensor] : named_tensors(state)) saved.tensors.emplace_back(name, tensor);
  return saved;
}

Optimizer::State Optimizer::state_like(const std::string& parameter, const SavedState& saved) {
  const std::string where = std::string(name()) + ": state of parameter '" + parameter + "'";
  if (saved.dtype != DType::f32 && saved.dtype != DType::f64 && !has_master(saved.dtype)) {
    fail(ErrorCode::invalid_argument, where + " is " + std::string(name_of(saved.dtype)) + ", as no parameter is");
  }
  const Form form{saved.dtype, saved.shape, saved.count == 0 ? 0 : saved.first, saved.count};
  check_part(where, form);
  State state = make_state(form, on_device_ != nullptr);
  state.steps = saved.steps;
  return state;
}

std::vector<std::pair<std::string, TensorView>> Optimizer::named_tensors(const State& state) const {
  std::vector<std::pair<std::string, TensorView>> named;
  for (std::size_t i = 0; i < state.tensors.size(); ++i) named.emplace_back(state_names()[i], state.tensors[i]);
  if (state.master) named.emplace_back(master_name, *state.master);
  if (state.extent) {
    std::byte* at = state.extent->map();
    host_->has_mappings = true;
    for (auto& [name, tensor] : named) {
      tensor.data = at;
      at += padded(tensor.size_bytes());
    }
  }
  return named;
}

std::vector<std::pair<std::string, TensorView>> Optimizer::make_room(const std::string& parameter,
                                                                     const SavedState& saved) {
  settle();
  State fresh = state_like(parameter, saved);
  if (on_device_) on_device_->synchronize();
  State& state = states_[parameter] = std::move(fresh);
  auto named = named_tensors(state);
  for (const auto& [name, tensor] : named)  // an extent may have been another's
    if (state.extent && tensor.count != 0) std::memset(tensor.data, 0, tensor.size_bytes());
  return named;
}

void Optimizer::restore(const std::string& parameter, const SavedState& saved) {
  settle();
  const auto where = [&] { return std::string(name()) + ": state of parameter '" + parameter + "'"; };
  State state = state_like(parameter, saved);
  if (on_device_) on_device_->synchronize();  // what follows may refuse, and give the memory back
  const auto wanted = named_tensors(state);
  for (const auto& [name, tensor] : saved.tensors) {
    if (std::none_of(wanted.begin(), wanted.end(), [&](const auto& each) { return each.first == name; }))
      fail(ErrorCode::invalid_argument, where() + ": '" + name + "' is not a state of this rule");
  }
  std::vector<ConstTensorView> found;
  for (const auto& [name, tensor] : wanted) {
    const auto named = std::find_if(saved.tensors.begin(), saved.tensors.end(),
                                    [&, &key = name](const auto& each) { return each.first == key; });
    if (named == saved.tensors.end()) fail(ErrorCode::invalid_argument, where() + ": '" + name + "' is missing");
    const ConstTensorView& from = named->second;
    if (from.dtype != tensor.dtype || from.count != tensor.count) {
      fail(ErrorCode::invalid_argument, where() + ": '" + name + "' has " + text_of(from.count, from.dtype) +
                                            "; it must have " + text_of(tensor.count, tensor.dtype));
    }
    if (on_a_device(from.device) && !on_device_) {
      fail(ErrorCode::invalid_argument,
           where() + ": '" + name + "' lies on a device: use_device() says how it is reached");
    }
    found.push_back(from);
  }
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (on_device_) {
      on_device_->copy(wanted[i].second.data, found[i].data, found[i].size_bytes());
    } else if (found[i].count != 0) {
      std::memcpy(wanted[i].second.data, found[i].data, found[i].size_bytes());
    }
  }
  if (on_device_) on_device_->synchronize();
  states_[parameter] = std::move(state);
}

}  // namespace trireme
