// SPDX-License-Identifier: Apache-2.0
#include "trireme/optim/optimizer.hpp"

#include "kernels/cast/cast.hpp"
#include "kernels/float_environment.hpp"
#include "kernels/norm/norm.hpp"
#include "kernels/update/update_device.hpp"
#include "optim/device_updates.hpp"
#include "optim/on_device.hpp"
#include "optim/setting_check.hpp"
#include "trireme/base/error.hpp"
#include "trireme/layout/flat_shards.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace trireme {
namespace {

constexpr const char* master_name = "master";
constexpr std::size_t most_sums = 4;

bool has_master(DType dtype) { return dtype == DType::f16 || dtype == DType::bf16; }
/// In which a parameter's state is kept.
DType state_dtype(DType dtype) { return has_master(dtype) ? DType::f32 : dtype; }

std::string text_of(std::size_t count, DType dtype) {
  return std::to_string(count) + " " + std::string(name_of(dtype));
}

bool on_a_device(Device device) { return device.kind != DeviceKind::cpu; }

/// Tensors that share memory begin at such places.
std::size_t padded(std::size_t bytes) { return (bytes + 255) / 256 * 256; }

std::vector<double> zeros(std::size_t count, DType dtype) {
  return std::vector<double>((count * size_of(dtype) + sizeof(double) - 1) / sizeof(double), 0.0);
}

}  // namespace

TensorShape TensorShape::of(std::span<const std::int64_t> shape) {
  TensorShape result{1, 1};
  for (std::size_t d = 0; d < shape.size(); ++d) {
    auto& side = d == 0 && shape.size() > 1 ? result.rows : result.columns;
    side *= static_cast<std::size_t>(shape[d]);
  }
  return result;
}

Optimizer::Optimizer(const char* name, const OptimizerRates& rates) : rates_(rates) {
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

Optimizer::State Optimizer::make_state(DType dtype, std::size_t count, const TensorShape& shape, bool on_device) {
  prepare(shape);
  State state;
  state.dtype = dtype;
  state.count = count;
  state.shape = shape;
  const DType kept = state_dtype(dtype);
  std::vector<std::size_t> counts;
  for (std::size_t i = 0; i < state_names().size(); ++i) counts.push_back(state_count(i, shape));
  if (has_master(dtype)) counts.push_back(count);
  std::size_t bytes = 0;
  if (on_device) {
    for (const std::size_t elements : counts) bytes += padded(elements * size_of(kept));
    state.device = on_device_->device();
    state.memory = device::Buffer(on_device_->runtime(), state.device.index, bytes);
    on_device_->runtime()->fill(state.memory.data(), std::byte{0}, bytes, on_device_->queue().stream);
  }
  for (std::size_t at = 0; const std::size_t elements : counts) {
    if (on_device) {
      state.tensors.push_back(state.memory.view(kept, elements, at));
      at += padded(elements * size_of(kept));
    } else {
      state.storage.push_back(zeros(elements, kept));
      state.tensors.emplace_back(state.storage.back().data(), elements, kept);
    }
  }
  if (has_master(dtype)) {
    state.master = state.tensors.back();
    state.tensors.pop_back();
  }
  return state;
}

void Optimizer::move_state(State& state, bool to_device) {
  State moved = make_state(state.dtype, state.count, state.shape, to_device);
  moved.steps = state.steps;
  moved.group = state.group;
  const auto from = named_tensors(state), to = named_tensors(moved);
  for (std::size_t i = 0; i < to.size(); ++i)
    on_device_->copy(to[i].second.data, from[i].second.data, from[i].second.size_bytes());
  on_device_->synchronize();
  state = std::move(moved);
}

Optimizer::States::value_type& Optimizer::entry_for(const TensorUpdate& update) {
  const TensorView& value = update.value;
  const auto where = [&] { return std::string(name()) + ": parameter '" + std::string(update.parameter) + "'"; };
  if (value.dtype != DType::f32 && value.dtype != DType::f64 && !has_master(value.dtype)) {
    fail(ErrorCode::unsupported,
         where() + " is " + std::string(name_of(value.dtype)) + "; f64, f32, f16 and bf16 are updated");
  }
  const bool known_dtype = update.gradient.dtype == value.dtype || update.gradient.dtype == state_dtype(value.dtype);
  if (!known_dtype || update.gradient.count != value.count) {
    fail(ErrorCode::invalid_argument, where() + " has " + text_of(value.count, value.dtype) + ", its gradient " +
                                          text_of(update.gradient.count, update.gradient.dtype));
  }
  const bool on_device = on_a_device(value.device);
  if (!(update.gradient.device == value.device) && value.count != 0)
    fail(ErrorCode::invalid_argument, where() + " lies elsewhere than its gradient");
  if (on_device && !on_device_)
    fail(ErrorCode::invalid_argument, where() + " lies on a device: use_device() says where it is updated");
  if (on_device && !(value.device == on_device_->device())) {
    fail(ErrorCode::invalid_argument, where() + " lies on device " + std::to_string(value.device.index) +
                                          "; use_device() was given a stream of device " +
                                          std::to_string(on_device_->device().index));
  }
  const TensorShape given = update.shape.empty() ? TensorShape{1, value.count} : TensorShape::of(update.shape);
  const TensorShape shape = shape_for(update.parameter, given);
  if (shape.count() != value.count) {
    fail(ErrorCode::invalid_argument, where() + " has " + text_of(value.count, value.dtype) + ", but its shape " +
                                          std::to_string(shape.count()) + " elements");
  }
  const auto known = states_.find(update.parameter);
  if (known == states_.end()) {
    State state = make_state(value.dtype, value.count, shape, on_device);
    if (state.master && !on_device)
      kernels::cast(state.master->data, state.master->dtype, value.data, value.dtype, value.count);
    return *states_.emplace(std::string(update.parameter), std::move(state)).first;
  }
  State& state = known->second;
  if (state.dtype != value.dtype || state.count != value.count) {
    fail(ErrorCode::invalid_argument,
         where() + " had " + text_of(state.count, state.dtype) + " before, now " + text_of(value.count, value.dtype));
  }
  if (scope() == UpdateScope::tensor && (state.shape.rows != shape.rows)) {
    fail(ErrorCode::invalid_argument,
         where() + " had " + std::to_string(state.shape.rows) + " rows before, now " + std::to_string(shape.rows));
  }
  if (on_a_device(state.device) != on_device) move_state(state, on_device);
  return *known;
}

SpanUpdate Optimizer::counted_span(State& state, const TensorUpdate& update, double gradient_scale, double clip_value) {
  ++state.steps;
  if (!state.group) state.group = group_of(update.parameter);
  return {.value = state.master ? *state.master : update.value,
          .gradient = update.gradient,
          .state = state.tensors,
          .step = state.steps,
          .gradient_scale = gradient_scale,
          .clip_value = clip_value,
          .copy = state.master ? update.value : TensorView{},
          .shape = state.shape};
}

void Optimizer::update_on_host(SpanUpdate& span, const OptimizerRates& rates) {
  std::array<double, most_sums> totals{};
  span.totals = std::span<const double>(totals).first(sums());
  if (scope() == UpdateScope::sums) {
    const std::size_t blocks = (span.value.count + layout::reduction_block - 1) / layout::reduction_block;
    if (block_sums_.size() < blocks * sums()) block_sums_.resize(blocks * sums());
    const auto block_sums = std::span(block_sums_).first(blocks * sums());
    measure(span, rates, block_sums);
    for (std::size_t k = 0; k < sums(); ++k) {
      kernels::TreeSum sum;
      for (std::size_t b = 0; b < blocks; ++b) sum.add(block_sums[b * sums() + k]);
      totals[k] = sum.result();
    }
  }
  this->update(span, rates);
}

void Optimizer::apply(std::span<const TensorUpdate> updates, double gradient_scale, double clip_value) {
  apply_all(updates, gradient_scale, nullptr, clip_value);
}

void Optimizer::apply(std::span<const TensorUpdate> updates, DeviceStepScale scale, double clip_value) {
  if (scale.data == nullptr)
    fail(ErrorCode::invalid_argument, std::string(name()) + ": a scale on a device that is null");
  for (const TensorUpdate& each : updates) {
    if (on_a_device(each.value.device)) continue;
    fail(ErrorCode::invalid_argument, std::string(name()) + ": parameter '" + std::string(each.parameter) +
                                          "' lies on the host, the step's scale on a device");
  }
  apply_all(updates, 1.0, scale.data, clip_value);
}

void Optimizer::apply_all(std::span<const TensorUpdate> updates, double gradient_scale, const void* device_scale,
                          double clip_value) {
  const kernels::FloatEnvironment environment;
  settle();
  entries_.clear();
  // All are looked at before the first is touched; a refusal takes the states of the fresh ones back.
  std::vector<std::string_view> fresh;
  std::size_t on_device = 0;
  try {
    for (const TensorUpdate& each : updates) {
      const std::size_t before = states_.size();
      entries_.push_back(&entry_for(each));
      if (states_.size() != before) fresh.push_back(each.parameter);
      if (on_a_device(each.value.device)) ++on_device;
    }
    if (on_device != 0 && scope() == UpdateScope::sums) {
      std::size_t blocks = 0;
      for (const TensorUpdate& each : updates)
        blocks += (each.value.count + layout::reduction_block - 1) / layout::reduction_block;
      on_device_->sums(blocks * sums() + updates.size());
    }
  } catch (...) {
    if (on_device_ && !fresh.empty()) on_device_->finish();
    for (const std::string_view each : fresh) states_.erase(states_.find(each));
    throw;
  }
  if (on_device != 0) {
    on_device_->updates.clear();
    on_device_->rates.clear();
    on_device_->entries.clear();
    on_device_->fresh.clear();
  }
  for (std::size_t i = 0, next_fresh = 0; i < updates.size(); ++i) {
    State& state = entries_[i]->second;
    const bool is_fresh = next_fresh < fresh.size() && fresh[next_fresh] == updates[i].parameter;
    if (is_fresh) ++next_fresh;
    SpanUpdate span = counted_span(state, updates[i], gradient_scale, clip_value);
    const OptimizerRates own = rates_of_group(*state.group);
    if (!on_a_device(updates[i].value.device)) {
      update_on_host(span, own);
      continue;
    }
    on_device_->updates.push_back(span);
    on_device_->rates.push_back(own);
    on_device_->entries.push_back(entries_[i]);
    on_device_->fresh.push_back(is_fresh ? 1 : 0);
  }
  if (on_device != 0) update_those_on_device(device_scale);
}

void Optimizer::update_those_on_device(const void* device_scale) {
  optim::OnDevice& here = *on_device_;
  here.spans.clear();
  std::size_t blocks = 0;
  for (std::size_t i = 0; i < here.updates.size(); ++i) {
    const SpanUpdate& update = here.updates[i];
    blocks += (update.value.count + layout::reduction_block - 1) / layout::reduction_block;
    if (here.fresh[i] == 0 || update.copy.count == 0) continue;
    here.spans.push_back({.parameter = update.value.data,
                          .gradient = update.copy.data,
                          .gradient_dtype = update.copy.dtype,
                          .count = update.value.count});
  }
  kernels::adopt(here.spans, here.queue());
  double* const block_sums = scope() == UpdateScope::sums ? here.sums(0) : nullptr;
  const optim::DeviceUpdates updates{.updates = here.updates,
                                     .rates = here.rates,
                                     .queue = here.queue(),
                                     .scale = static_cast<const kernels::StepScale*>(device_scale),
                                     .block_sums = block_sums,
                                     .factors = block_sums == nullptr ? nullptr : block_sums + blocks * sums(),
                                     .spans = here.spans,
                                     .done = here.done};
  if (!update_on_device(updates)) return update_by_way_of_host(device_scale);
  if (device_scale != nullptr) here.ask(device_scale);
}

void Optimizer::update_by_way_of_host(const void* device_scale) {
  optim::OnDevice& here = *on_device_;
  std::optional<kernels::StepScale> scale;
  if (device_scale != nullptr) {
    here.ask(device_scale);
    scale = here.verdict();
    if (scale->skip != 0) return take_back_step();
  }
  for (std::size_t i = 0; i < here.updates.size(); ++i) {
    SpanUpdate span = here.updates[i];
    if (scale) span.gradient_scale = scale->gradient_scale;
    std::size_t bytes =
        padded(span.value.size_bytes()) + padded(span.gradient.size_bytes()) + padded(span.copy.size_bytes());
    for (const TensorView& each : span.state) bytes += padded(each.size_bytes());
    std::byte* at = here.staging(bytes);
    const auto staged = [&](const ConstTensorView& there) {
      TensorView view(at, there.count, there.dtype);
      at += padded(there.size_bytes());
      return view;
    };
    const auto fetched = [&](const ConstTensorView& there) {
      const TensorView view = staged(there);
      here.copy(view.data, there.data, there.size_bytes());
      return view;
    };
    const SpanUpdate there = span;
    std::vector<TensorView> state;
    for (const TensorView& each : there.state) state.push_back(fetched(each));
    span.value = fetched(there.value);
    span.gradient = fetched(there.gradient);
    span.copy = staged(there.copy);
    span.state = state;
    here.synchronize();
    update_on_host(span, here.rates[i]);
    for (std::size_t k = 0; k < state.size(); ++k) here.copy(there.state[k].data, state[k].data, state[k].size_bytes());
    here.copy(there.value.data, span.value.data, span.value.size_bytes());
    here.copy(there.copy.data, span.copy.data, span.copy.size_bytes());
    here.synchronize();
  }
}

void Optimizer::settle() const {
  if (on_device_ && on_device_->asked() && on_device_->verdict().skip != 0) take_back_step();
}

void Optimizer::take_back_step() const {
  for (std::size_t i = 0; i < on_device_->entries.size(); ++i) {
    States::value_type& entry = *on_device_->entries[i];
    --entry.second.steps;
    if (on_device_->fresh[i] != 0) states_.erase(states_.find(entry.first));
  }
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
}

void Optimizer::apply(const std::string& parameter, TensorView value, ConstTensorView gradient, double gradient_scale) {
  const TensorUpdate one{.parameter = parameter, .value = value, .gradient = gradient};
  apply(std::span(&one, 1), gradient_scale);
}

Optimizer::SavedState Optimizer::saved(std::string_view parameter) const {
  settle();
  const auto found = states_.find(parameter);
  if (found == states_.end()) {
    fail(ErrorCode::invalid_argument,
         std::string(name()) + ": there is no state of parameter '" + std::string(parameter) + "'");
  }
  const State& state = found->second;
  SavedState saved{state.steps, state.dtype, state.count, state.shape, {}};
  for (const auto& [name, tensor] : named_tensors(state)) saved.tensors.emplace_back(name, tensor);
  return saved;
}

Optimizer::State Optimizer::state_like(const std::string& parameter, const SavedState& saved) {
  const bool updated = saved.dtype == DType::f32 || saved.dtype == DType::f64 || has_master(saved.dtype);
  if (!updated || saved.shape.count() != saved.count) {
    fail(ErrorCode::invalid_argument, std::string(name()) + ": state of parameter '" + parameter +
                                          "': " + text_of(saved.count, saved.dtype) + " in a shape of " +
                                          std::to_string(saved.shape.count()) + " elements is none of a parameter");
  }
  State state = make_state(saved.dtype, saved.count, saved.shape, on_device_ != nullptr);
  state.steps = saved.steps;
  return state;
}

std::vector<std::pair<std::string, TensorView>> Optimizer::named_tensors(const State& state) const {
  std::vector<std::pair<std::string, TensorView>> named;
  for (std::size_t i = 0; i < state.tensors.size(); ++i) named.emplace_back(state_names()[i], state.tensors[i]);
  if (state.master) named.emplace_back(master_name, *state.master);
  return named;
}

std::vector<std::pair<std::string, TensorView>> Optimizer::make_room(const std::string& parameter,
                                                                     const SavedState& saved) {
  settle();
  State fresh = state_like(parameter, saved);
  if (on_device_) on_device_->synchronize();
  State& state = states_[parameter] = std::move(fresh);
  return named_tensors(state);
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
