// SPDX-License-Identifier: Apache-2.0
#include "trireme/parallel/memory_estimate.hpp"

#include "parallel/data_parallel_settings.hpp"
#include "parallel/shard_plan.hpp"
#include "parallel/unit_plan.hpp"
#include "trireme/base/dtype.hpp"
#include "trireme/base/error.hpp"
#include "trireme/layout/reduction_tree.hpp"

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

namespace trireme::parallel {
namespace {

constexpr std::size_t line = 64;
constexpr std::size_t round_up(std::size_t bytes) { return (bytes + line - 1) / line * line; }

void check_stage(int stage, int ranks) {
  if (stage < 0 || stage > 3) fail(ErrorCode::invalid_argument, "ZeRO has stages 0 to 3, not " + std::to_string(stage));
  if (ranks < 1) fail(ErrorCode::invalid_argument, std::to_string(ranks) + " ranks cannot train: at least 1 can");
}

bool has_master(DType dtype) { return dtype == DType::f16 || dtype == DType::bf16; }

/// Sum of the two largest: what is under way, and what comes next.
std::size_t two_largest(std::vector<std::size_t> sizes) {
  const std::size_t some = std::min<std::size_t>(sizes.size(), 2);
  std::partial_sort(sizes.begin(), sizes.begin() + static_cast<std::ptrdiff_t>(some), sizes.end(), std::greater<>());
  std::size_t sum = 0;
  for (std::size_t i = 0; i < some; ++i) sum += sizes[i];
  return sum;
}

/// State of the part of a parameter that a rank owns.
void add_state(MemoryEstimate& estimate, const Optimizer& optimizer, const Parameter& parameter, std::size_t owned) {
  const std::size_t whole = parameter.value.count;
  const DType dtype = parameter.value.dtype;
  if (owned != whole && owned != 0 && optimizer.scope() == UpdateScope::tensor) {
    fail(ErrorCode::invalid_argument, std::string(optimizer.name()) + " needs whole tensors, and '" + parameter.name +
                                          "' would be cut: DataParallelOptions::zero_whole_tensors cuts between them");
  }
  if (owned == 0) return;
  const std::size_t width = size_of(has_master(dtype) ? DType::f32 : dtype);
  const TensorShape shape = optimizer.shape_for(parameter.name, TensorShape::of(parameter.shape));
  for (std::size_t state = 0; state < optimizer.state_names().size(); ++state) {
    std::size_t count = optimizer.state_count(state, shape);
    if (owned != whole && count != 0) count = owned;
    estimate.optimizer_state.value += count * width;
  }
  if (has_master(dtype)) estimate.masters.value += owned * width;
}

}  // namespace

double zero_bytes_per_parameter(int stage, int ranks, const ZeroWidths& widths) {
  check_stage(stage, ranks);
  const auto [value, gradient, state] = widths;
  const double n = ranks;
  return (stage >= 3 ? value / n : value) + (stage >= 2 ? gradient / n : gradient) + (stage >= 1 ? state / n : state);
}

double zero_wire_bytes_per_parameter(int stage, int ranks, const ZeroWidths& widths) {
  check_stage(stage, ranks);
  const auto [value, gradient, state] = widths;
  const double sent = stage == 0 ? 2 * gradient : gradient + (stage == 3 ? 2 : 1) * value;
  return sent * (ranks - 1) / ranks;
}

Bytes MemoryEstimate::kept() const {
  return Bytes{values.value + given_gradients.value + gradients.value + optimizer_state.value + masters.value};
}

Bytes MemoryEstimate::most() const { return Bytes{kept().value + transient_gradients.value + transient_values.value}; }

MemoryEstimate estimate_memory(std::span<const Parameter> parameters, const DataParallelOptions& options,
                               const Optimizer& optimizer, int ranks, int rank) {
  check_stage(options.zero_stage, ranks);
  if (rank < 0 || rank >= ranks) {
    fail(ErrorCode::invalid_argument, "there is no rank " + std::to_string(rank) + " among " + std::to_string(ranks));
  }
  if (!options.row_sparse.empty()) {
    fail(ErrorCode::unsupported,
         "row_sparse: what such parameters take depends on the rows that leaves touch, so there is no estimate");
  }
  check_sharding(options, ranks, false);
  const int stage = options.zero_stage;
  const OwnLeaves own = own_leaves(options, settle_leaves(options, ranks), ranks, rank);
  const bool in_rounds = own.rounds() > 1;
  const int group = stage == 0 ? 1 : options.shard_group == 0 ? ranks : options.shard_group;
  const int member = rank % group;
  const UnitPlan units =
      plan_units(parameters, stage >= 2 ? options.units : std::vector<std::vector<std::string>>{},
                 options.first_bucket_bytes, options.bucket_bytes, reverse_order(std::vector<bool>(parameters.size())));
  const BucketPlan& plan = units.buckets;
  const ShardPlan shards(plan, group, options.zero_whole_tensors);

  MemoryEstimate estimate;
  const bool pooled = stage >= 2 && (in_rounds || own.passes == 1);
  const std::size_t levels = in_rounds ? 1 : static_cast<std::size_t>(layout::fold_depth(own.passes));
  if (!pooled) estimate.gradients.value = plan.size_bytes * levels;
  std::vector<std::size_t> unit_bytes(units.units);
  std::size_t owned_bytes = 0;
  for (std::size_t b = 0; b < plan.buckets.size(); ++b) {
    const std::size_t width = size_of(plan.buckets[b].dtype);
    owned_bytes += round_up(shards.range(b, member).size() * width);
  }
  if (pooled || in_rounds)
    estimate.gradients.value += owned_bytes * static_cast<std::size_t>(layout::fold_depth(own.rounds()));
  if (pooled) estimate.transient_gradients.value = most_bytes_under_way(units);
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    const Parameter& parameter = parameters[p];
    const std::size_t owned = shards.owned(p, member).size();
    const std::size_t width = size_of(parameter.value.dtype);
    estimate.parameters += parameter.value.count;
    const bool has_end = owned != 0 && shards.owned(p, member).end == parameter.value.count;
    estimate.values.value +=
        stage < 3 ? parameter.value.size_bytes()
                  : (has_end ? round_up(parameter.value.size_bytes()) - shards.owned(p, member).begin * width
                             : owned * width);
    if (stage < 2 && !options.gradients_as_bucket_views)
      estimate.given_gradients.value += parameter.gradient.size_bytes();
    unit_bytes[units.unit_of[p]] += round_up(parameter.value.size_bytes());
    add_state(estimate, optimizer, parameter, owned);
  }
  if (options.gradients_as_bucket_views && own.passes > 1) estimate.given_gradients.value = plan.size_bytes;
  if (stage == 3 && group > 1) estimate.transient_values.value = two_largest(std::move(unit_bytes));
  return estimate;
}

}  // namespace trireme::parallel
