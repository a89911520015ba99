// SPDX-License-Identifier: Apache-2.0
#include "kernels/cast/cast.hpp"
#include "kernels/float_environment.hpp"
#include "kernels/norm/norm.hpp"
#include "kernels/update/update_device.hpp"
#include "optim/device_updates.hpp"
#include "optim/host_work.hpp"
#include "optim/on_device.hpp"
#include "optim/state_layout.hpp"
#include "trireme/base/error.hpp"
#include "trireme/layout/flat_shards.hpp"
#include "trireme/optim/optimizer.hpp"

#include <algorithm>
#include <array>
#include <exception>
#include <string>
#include <utility>

namespace trireme {
namespace {

using optim::blocks_of, optim::has_master, optim::HostJob, optim::on_a_device, optim::state_dtype, optim::text_of;

constexpr std::size_t most_sums = 4;

/// "elements [0, 4096)".
std::string range_text(std::size_t first, std::size_t count) {
  return "elements [" + std::to_string(first) + ", " + std::to_string(first + count) + ")";
}

/// The sums of a whole tensor, from those of its blocks.
void add_up(std::span<const double> block_sums, std::span<double> totals) {
  for (std::size_t k = 0; k < totals.size(); ++k) {
    kernels::TreeSum sum;
    for (std::size_t at = k; at < block_sums.size(); at += totals.size()) sum.add(block_sums[at]);
    totals[k] = sum.result();
  }
}

}  // namespace

void Optimizer::check_share(std::string_view parameter, bool completes) const {
  if (scope() == UpdateScope::elements || (scope() == UpdateScope::sums && completes)) return;
  const std::string share = std::string(name()) + ": parameter '" + std::string(parameter) +
                            "' is this rank's share of a tensor that lies on several ranks, and this rule ";
  fail(
      ErrorCode::unsupported,
      share +
          (scope() == UpdateScope::sums
               ? "needs norms of the whole: set DataParallelOptions::tensor_axis, over which they are completed"
               : "sees whole tensors: use one that does not (lamb, lars, adamw, ...), or a mesh without a tensor axis"));
}

Optimizer::States::value_type& Optimizer::entry_for(const TensorUpdate& update, const SumsExchange* exchange) {
  const bool exchanges = exchange != nullptr && scope() == UpdateScope::sums;
  if (update.is_share) check_share(update.parameter, exchanges && exchange->completes_shares());
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
  const bool on_device = value.count != 0 && on_a_device(value.device);
  if (!(update.gradient.device == value.device) && value.count != 0)
    fail(ErrorCode::invalid_argument, where() + " lies elsewhere than its gradient");
  if (on_device && !on_device_)
    fail(ErrorCode::invalid_argument, where() + " lies on a device: use_device() says where it is updated");
  if (on_device && !(value.device == on_device_->device())) {
    fail(ErrorCode::invalid_argument, where() + " lies on device " + std::to_string(value.device.index) +
                                          "; use_device() was given a stream of device " +
                                          std::to_string(on_device_->device().index));
  }
  if (update.shape.empty() && update.first != 0)
    fail(ErrorCode::invalid_argument, where() + " is a part of a tensor: say the shape of the whole");
  const TensorShape given = update.shape.empty() ? TensorShape{1, value.count} : TensorShape::of(update.shape);
  const Form form{value.dtype, shape_for(update.parameter, given), value.count == 0 ? 0 : update.first, value.count};
  check_part(where(), form);
  const std::size_t whole = form.shape.count();
  if (form.count != whole && scope() == UpdateScope::sums && !exchanges) {
    fail(ErrorCode::invalid_argument, where() + " is a part, " + range_text(form.first, form.count) + " of " +
                                          std::to_string(whole) +
                                          ": this rule needs sums over the whole, hence a SumsExchange");
  }
  const auto known = states_.find(update.parameter);
  if (known == states_.end()) {
    State state = make_state(form, on_device);
    state.is_blank = true;
    if (state.master && !on_device && !state.extent)
      kernels::cast(state.master->data, state.master->dtype, value.data, value.dtype, value.count);
    return *states_.emplace(std::string(update.parameter), std::move(state)).first;
  }
  State& state = known->second;
  const bool same_size = state.shape.count() == whole;
  if (state.dtype == value.dtype && same_size && (state.first != form.first || state.count != form.count)) {
    fail(ErrorCode::invalid_argument,
         where() + " of " + std::to_string(whole) + " elements: this rank had " + range_text(state.first, state.count) +
             " before, now " + range_text(form.first, form.count) +
             ": state of another part is not here; restore() it from a checkpoint, or forget()");
  }
  if (state.dtype != value.dtype || state.count != value.count || !same_size) {
    const bool parts = state.count == value.count && state.dtype == value.dtype;
    fail(ErrorCode::invalid_argument, where() + " had " +
                                          text_of(parts ? state.shape.count() : state.count, state.dtype) +
                                          " before, now " + text_of(parts ? whole : value.count, value.dtype));
  }
  if (scope() == UpdateScope::tensor && (state.shape.rows != form.shape.rows)) {
    fail(ErrorCode::invalid_argument,
         where() + " had " + std::to_string(state.shape.rows) + " rows before, now " + std::to_string(form.shape.rows));
  }
  if (!state.extent && value.count != 0 && on_a_device(state.device) != on_device) move_state(state, on_device);
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

std::vector<std::string> Optimizer::make_states(std::span<const TensorUpdate> updates, SumsExchange* exchange) {
  const kernels::FloatEnvironment environment;
  settle();
  refuse_half_done();
  std::vector<std::string> made;
  try {
    for (const TensorUpdate& each : updates) {
      if (each.value.count != 0 && on_a_device(each.value.device)) continue;
      const std::size_t before = states_.size();
      entry_for(each, exchange);
      if (states_.size() != before) made.emplace_back(each.parameter);
    }
  } catch (...) {
    for (const std::string& each : made) states_.erase(states_.find(each));
    throw;
  }
  return made;
}

void Optimizer::apply(std::span<const TensorUpdate> updates, double gradient_scale, double clip_value,
                      SumsExchange* exchange) {
  apply_all(updates, gradient_scale, nullptr, clip_value, exchange);
}

void Optimizer::apply(std::span<const TensorUpdate> updates, DeviceStepScale scale, double clip_value,
                      SumsExchange* exchange) {
  if (scale.data == nullptr)
    fail(ErrorCode::invalid_argument, std::string(name()) + ": a scale on a device that is null");
  if (!on_device_)
    fail(ErrorCode::invalid_argument,
         std::string(name()) + ": a scale on a device: use_device() says how it is reached");
  for (const TensorUpdate& each : updates) {
    if (on_a_device(each.value.device) || each.value.count == 0) continue;
    fail(ErrorCode::invalid_argument, std::string(name()) + ": parameter '" + std::string(each.parameter) +
                                          "' lies on the host, the step's scale on a device");
  }
  apply_all(updates, 1.0, scale.data, clip_value, exchange);
}

void Optimizer::apply(const std::string& parameter, TensorView value, ConstTensorView gradient, double gradient_scale) {
  const TensorUpdate one{.parameter = parameter, .value = value, .gradient = gradient};
  apply(std::span(&one, 1), gradient_scale);
}

void Optimizer::apply_all(std::span<const TensorUpdate> updates, double gradient_scale, const void* device_scale,
                          double clip_value, SumsExchange* exchange) {
  const kernels::FloatEnvironment environment;
  settle();
  refuse_half_done();
  unmap();
  optim::HostWork& host = *host_;
  host.entries.clear();
  host.jobs.clear();
  const bool exchanges = exchange != nullptr && scope() == UpdateScope::sums;
  // All are looked at before the first is touched; a refusal takes the states of the fresh ones back.
  std::vector<std::string_view> fresh;
  const auto take_back = [&] {
    for (const std::string_view each : fresh) {
      if (const auto found = states_.find(each); found != states_.end()) states_.erase(found);
    }
  };
  try {
    std::size_t blocks = 0;
    bool on_device = false;
    for (const TensorUpdate& each : updates) {
      host.entries.push_back(&entry_for(each, exchange));
      if (host.entries.back()->second.is_blank) fresh.push_back(each.parameter);
      on_device = on_device || (each.value.count != 0 && on_a_device(each.value.device));
      blocks += blocks_of(each.value.count);
    }
    if (on_device && scope() == UpdateScope::sums && !exchanges) on_device_->sums(blocks * sums() + updates.size());
  } catch (...) {
    if (on_device_ && !fresh.empty()) on_device_->finish();
    take_back();
    throw;
  }
  host.has_moved = false;
  std::size_t counted = 0;
  try {
    give_and_update(updates, gradient_scale, device_scale, clip_value, exchanges ? exchange : nullptr, counted);
  } catch (const std::exception& failure) {
    if (host.has_moved) {
      host.half_done = failure.what();
      throw;
    }
    if (on_device_) {
      on_device_->drop_question();
      on_device_->finish();
      on_device_->clear();
    }
    for (std::size_t i = 0; i < counted; ++i) --host.entries[i]->second.steps;
    take_back();
    throw;
  }
}

void Optimizer::give_and_update(std::span<const TensorUpdate> updates, double gradient_scale, const void* device_scale,
                                double clip_value, SumsExchange* exchange, std::size_t& counted) {
  optim::HostWork& host = *host_;
  const bool exchanges = exchange != nullptr;
  if (on_device_) on_device_->clear();
  for (std::size_t i = 0; i < updates.size(); ++i) {
    State& state = host.entries[i]->second;
    const bool is_fresh = std::exchange(state.is_blank, false);
    const SpanUpdate span = counted_span(state, updates[i], gradient_scale, clip_value);
    ++counted;
    const bool far = span.gradient.count != 0 && on_a_device(span.gradient.device);
    if (far || device_scale != nullptr) {
      on_device_->entries.push_back(host.entries[i]);
      on_device_->fresh.push_back(is_fresh ? 1 : 0);
    }
    if (far && !state.extent && is_fresh && span.copy.count != 0) {
      on_device_->spans.push_back({.parameter = span.value.data,
                                   .gradient = span.copy.data,
                                   .gradient_dtype = span.copy.dtype,
                                   .count = span.value.count});
    }
    if (far && !state.extent && !exchanges) {
      on_device_->updates.push_back(span);
      on_device_->rates.push_back(rates_of_group(*state.group));
    } else if (span.value.count != 0 || exchanges) {
      host.jobs.push_back({.span = span,
                           .rates = rates_of_group(*state.group),
                           .extent = state.extent.get(),
                           .is_fresh = is_fresh,
                           .is_share = updates[i].is_share,
                           .first = state.first});
    }
  }
  if (on_device_ && !on_device_->spans.empty()) kernels::adopt(on_device_->spans, on_device_->queue());
  const bool by_kernels = !on_device_ || on_device_->updates.empty() || update_those_on_device(device_scale);
  if (!by_kernels) {
    // Those of the device first: what lies on the host does not fail.
    const auto here = host.jobs.size();
    for (std::size_t i = 0; i < on_device_->updates.size(); ++i)
      host.jobs.push_back({.span = on_device_->updates[i], .rates = on_device_->rates[i]});
    std::rotate(host.jobs.begin(), host.jobs.begin() + static_cast<std::ptrdiff_t>(here), host.jobs.end());
  } else if (on_device_ && !on_device_->updates.empty()) {
    host.has_moved = true;
  }
  if (device_scale != nullptr) {
    on_device_->ask(device_scale);
    if (host.jobs.empty()) return;
    const kernels::StepScale scale = on_device_->verdict();
    if (scale.skip != 0) return take_back_step();
    for (HostJob& job : host.jobs) job.span.gradient_scale = scale.gradient_scale;
  }
  update_on_host(exchange);
}

void Optimizer::update_on_host(SumsExchange* exchange) {
  if (scope() == UpdateScope::sums) return update_by_sums(exchange);
  for (HostJob& job : host_->jobs) {
    host_->for_pieces(job, on_device_.get(), scope() == UpdateScope::elements,
                      [&](const SpanUpdate& piece, std::size_t) { update(piece, job.rates); });
  }
}

void Optimizer::update_by_sums(SumsExchange* exchange) {
  optim::HostWork& host = *host_;
  const auto measure_into = [&](HostJob& job, std::span<double> block_sums) {
    host.for_pieces(job, on_device_.get(), true, [&](const SpanUpdate& piece, std::size_t begin) {
      const std::size_t at = begin / layout::reduction_block * sums();
      measure(piece, job.rates, block_sums.subspan(at, blocks_of(piece.value.count) * sums()));
    });
  };
  const auto update_with = [&](HostJob& job, std::span<const double> totals) {
    job.span.totals = totals;
    host.for_pieces(job, on_device_.get(), true,
                    [&](const SpanUpdate& piece, std::size_t) { update(piece, job.rates); });
  };
  const auto room = [&](std::size_t blocks) {
    if (host.block_sums.size() < blocks * sums()) host.block_sums.resize(blocks * sums());
    return std::span(host.block_sums).first(blocks * sums());
  };
  if (exchange == nullptr) {
    for (HostJob& job : host.jobs) {
      const std::span<double> block_sums = room(blocks_of(job.span.value.count));
      measure_into(job, block_sums);
      std::array<double, most_sums> totals{};
      add_up(block_sums, std::span(totals).first(sums()));
      update_with(job, std::span<const double>(totals).first(sums()));
    }
    return;
  }
  // Of all tensors, one after the other, the sums of all their blocks.
  std::size_t blocks = 0;
  for (const HostJob& job : host.jobs) blocks += blocks_of(job.span.shape.count());
  const std::span<double> all = room(blocks);
  std::fill(all.begin(), all.end(), -0.0);
  for (std::size_t at = 0; HostJob & job : host.jobs) {
    measure_into(
        job, all.subspan(at + job.first / layout::reduction_block * sums(), blocks_of(job.span.value.count) * sums()));
    at += blocks_of(job.span.shape.count()) * sums();
  }
  if (blocks != 0) exchange->sum(all);
  host.totals.assign(host.jobs.size() * sums(), 0.0);
  host.share_totals.clear();
  const auto totals_of = [&](std::size_t i) { return std::span(host.totals).subspan(i * sums(), sums()); };
  for (std::size_t i = 0, at = 0; i < host.jobs.size(); ++i) {
    const std::size_t size = blocks_of(host.jobs[i].span.shape.count()) * sums();
    add_up(all.subspan(at, size), totals_of(i));
    at += size;
    if (host.jobs[i].is_share)
      host.share_totals.insert(host.share_totals.end(), totals_of(i).begin(), totals_of(i).end());
  }
  if (!host.share_totals.empty()) exchange->complete(host.share_totals);
  for (std::size_t i = 0, at = 0; i < host.jobs.size(); ++i) {
    if (host.jobs[i].is_share) {
      std::copy_n(host.share_totals.begin() + static_cast<std::ptrdiff_t>(at), sums(), totals_of(i).begin());
      at += sums();
    }
    update_with(host.jobs[i], totals_of(i));
  }
}

bool Optimizer::update_those_on_device(const void* device_scale) {
  optim::OnDevice& here = *on_device_;
  std::size_t blocks = 0;
  for (const SpanUpdate& update : here.updates) blocks += blocks_of(update.value.count);
  double* const block_sums = scope() == UpdateScope::sums ? here.sums(0) : nullptr;
  return update_on_device({.updates = here.updates,
                           .rates = here.rates,
                           .queue = here.queue(),
                           .scale = static_cast<const kernels::StepScale*>(device_scale),
                           .block_sums = block_sums,
                           .factors = block_sums == nullptr ? nullptr : block_sums + blocks * sums(),
                           .spans = here.spans,
                           .done = here.done});
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

}  // namespace trireme
