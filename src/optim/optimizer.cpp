// SPDX-License-Identifier: Apache-2.0
#include "trireme/optim/optimizer.hpp"

#include "kernels/cast/cast.hpp"
#include "kernels/float_environment.hpp"
#include "kernels/norm/norm.hpp"
#include "optim/setting_check.hpp"
#include "trireme/base/error.hpp"
#include "trireme/layout/flat_shards.hpp"

#include <algorithm>
#include <array>
#include <cstring>

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

Optimizer::State Optimizer::make_state(DType dtype, std::size_t count, const TensorShape& shape) {
  prepare(shape);
  State state;
  state.dtype = dtype;
  state.count = count;
  state.shape = shape;
  const DType kept = state_dtype(dtype);
  for (std::size_t i = 0; i < state_names().size(); ++i) {
    const std::size_t elements = state_count(i, shape);
    state.storage.push_back(zeros(elements, kept));
    state.tensors.emplace_back(state.storage.back().data(), elements, kept);
  }
  if (has_master(dtype)) {
    state.storage.push_back(zeros(count, kept));
    state.master = TensorView(state.storage.back().data(), count, kept);
  }
  return state;
}

Optimizer::State& Optimizer::state_for(const TensorUpdate& update) {
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
  const TensorShape given = update.shape.empty() ? TensorShape{1, value.count} : TensorShape::of(update.shape);
  const TensorShape shape = shape_for(update.parameter, given);
  if (shape.count() != value.count) {
    fail(ErrorCode::invalid_argument, where() + " has " + text_of(value.count, value.dtype) + ", but its shape " +
                                          std::to_string(shape.count()) + " elements");
  }
  const auto known = states_.find(update.parameter);
  if (known == states_.end()) {
    State state = make_state(value.dtype, value.count, shape);
    if (state.master) kernels::cast(state.master->data, state.master->dtype, value.data, value.dtype, value.count);
    return states_.emplace(std::string(update.parameter), std::move(state)).first->second;
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
  return state;
}

void Optimizer::apply_one(State& state, const TensorUpdate& update, double gradient_scale, double clip_value) {
  ++state.steps;
  if (!state.group) state.group = group_of(update.parameter);
  const OptimizerRates own = rates_of_group(*state.group);
  std::array<double, most_sums> totals{};
  SpanUpdate span{.value = state.master ? *state.master : update.value,
                  .gradient = update.gradient,
                  .state = state.tensors,
                  .step = state.steps,
                  .gradient_scale = gradient_scale,
                  .clip_value = clip_value,
                  .copy = state.master ? update.value : TensorView{},
                  .shape = state.shape,
                  .totals = std::span<const double>(totals).first(sums())};
  if (scope() == UpdateScope::sums) {
    const std::size_t blocks = (state.count + layout::reduction_block - 1) / layout::reduction_block;
    if (block_sums_.size() < blocks * sums()) block_sums_.resize(blocks * sums());
    const auto block_sums = std::span(block_sums_).first(blocks * sums());
    measure(span, own, block_sums);
    for (std::size_t k = 0; k < sums(); ++k) {
      kernels::TreeSum sum;
      for (std::size_t b = 0; b < blocks; ++b) sum.add(block_sums[b * sums() + k]);
      totals[k] = sum.result();
    }
  }
  this->update(span, own);
}

void Optimizer::apply(std::span<const TensorUpdate> updates, double gradient_scale, double clip_value) {
  const kernels::FloatEnvironment environment;
  resolved_.clear();
  // All are looked at before the first is touched; a refusal takes the states of the fresh ones back.
  std::vector<std::string_view> fresh;
  try {
    for (const TensorUpdate& each : updates) {
      const std::size_t before = states_.size();
      resolved_.push_back(&state_for(each));
      if (states_.size() != before) fresh.push_back(each.parameter);
    }
  } catch (...) {
    for (const std::string_view each : fresh) states_.erase(states_.find(each));
    throw;
  }
  for (std::size_t i = 0; i < updates.size(); ++i) apply_one(*resolved_[i], updates[i], gradient_scale, clip_value);
}

void Optimizer::apply(const std::string& parameter, TensorView value, ConstTensorView gradient, double gradient_scale) {
  const TensorUpdate one{.parameter = parameter, .value = value, .gradient = gradient};
  apply(std::span(&one, 1), gradient_scale);
}

Optimizer::SavedState Optimizer::saved(std::string_view parameter) const {
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
  State state = make_state(saved.dtype, saved.count, saved.shape);
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
  State& state = states_[parameter] = state_like(parameter, saved);
  return named_tensors(state);
}

void Optimizer::restore(const std::string& parameter, const SavedState& saved) {
  const auto where = [&] { return std::string(name()) + ": state of parameter '" + parameter + "'"; };
  State state = state_like(parameter, saved);
  const auto wanted = named_tensors(state);
  for (const auto& [name, tensor] : saved.tensors) {
    if (std::none_of(wanted.begin(), wanted.end(), [&](const auto& each) { return each.first == name; }))
      fail(ErrorCode::invalid_argument, where() + ": '" + name + "' is not a state of this rule");
  }
  for (const auto& [name, tensor] : wanted) {
    const auto found = std::find_if(saved.tensors.begin(), saved.tensors.end(),
                                    [&, &key = name](const auto& each) { return each.first == key; });
    if (found == saved.tensors.end()) fail(ErrorCode::invalid_argument, where() + ": '" + name + "' is missing");
    const ConstTensorView& from = found->second;
    if (from.dtype != tensor.dtype || from.count != tensor.count) {
      fail(ErrorCode::invalid_argument, where() + ": '" + name + "' has " + text_of(from.count, from.dtype) +
                                            "; it must have " + text_of(tensor.count, tensor.dtype));
    }
    if (from.count != 0) std::memcpy(tensor.data, from.data, from.size_bytes());
  }
  states_[parameter] = std::move(state);
}

}  // namespace trireme
