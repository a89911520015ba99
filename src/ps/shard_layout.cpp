// SPDX-License-Identifier: Apache-2.0
#include "ps/shard_layout.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <string>

namespace trireme::ps {
namespace {

[[noreturn]] void refuse_options(const std::string& what) {
  fail(ErrorCode::invalid_argument, "a parameter server's options: " + what);
}

constexpr std::uint64_t most_state_tensors = 4, widest_element = 8, room_beside = 65536;

bool is_here(const ShardOptions& options, const KeyInfo& key) {
  return key.loop == options.loop && (key.server == options.server || options.has_views);
}

}  // namespace

std::uint64_t most_payload_bytes(const KeyPlan& plan) {
  std::uint64_t elements = 0;
  for (const KeyInfo& key : plan.keys()) elements = std::max<std::uint64_t>(elements, key.range.size());
  return elements * widest_element * (1 + most_state_tensors) + room_beside;
}

UpdateScope update_scope(const ShardOptions& options) {
  return options.make_optimizer ? options.make_optimizer()->scope() : UpdateScope::elements;
}

KeyShape key_shape(const TensorInfo& tensor, const KeyInfo& key) {
  KeyShape shape{.dtype = tensor.accumulator, .first_row = key.range.begin, .rows = key.range.size()};
  if (!tensor.row_sparse || tensor.shape.empty() || tensor.shape.front() <= 0) return shape;
  shape.columns = std::max<std::size_t>(tensor.count() / static_cast<std::size_t>(tensor.shape.front()), 1);
  shape.first_row = key.range.begin / shape.columns;
  shape.rows = key.range.size() / shape.columns;
  return shape;
}

std::uint64_t largest_credit_unit(const ShardOptions& options) {
  const KeyPlan& plan = *options.plan;
  const bool sums = options.consistency.kind == ConsistencyKind::bulk_synchronous;
  const bool whole = update_scope(options) != UpdateScope::elements;
  std::uint64_t largest = 0;
  for (const KeyInfo& key : plan.keys()) {
    if (!is_here(options, key)) continue;
    const TensorInfo& tensor = plan.tensors()[key.tensor];
    const std::uint64_t elements = !sums && whole ? tensor.count() : key.range.size();
    largest = std::max(largest, elements * size_of(tensor.accumulator) * (sums ? options.workers : 1));
  }
  return largest;
}

std::uint64_t credit_budget(const ShardOptions& options) {
  return options.memory_bytes == 0 ? 0 : std::max<std::uint64_t>(options.memory_bytes / (options.has_views ? 2 : 1), 1);
}

void check_options(const ShardOptions& options) {
  if (!options.plan) refuse_options("there is no plan of keys");
  if (options.workers == 0 || options.workers > most_workers)
    refuse_options(std::to_string(options.workers) + " workers are not between 1 and " + std::to_string(most_workers));
  if (options.consistency.kind == ConsistencyKind::bulk_synchronous) {
    if (options.workers > 1024)
      refuse_options("at most 1024 workers are summed, not " + std::to_string(options.workers));
    if (options.leaves < options.workers || options.leaves > (1u << 24))
      refuse_options(std::to_string(options.leaves) + " leaves are too few, or too many, for " +
                     std::to_string(options.workers) + " workers");
    if (options.backup_workers >= options.workers)
      refuse_options(std::to_string(options.backup_workers) + " of " + std::to_string(options.workers) +
                     " workers cannot be backup workers: one must be waited for");
  } else if (!options.make_optimizer) {
    refuse_options("'" + options.consistency.to_string() + "' needs an optimizer on the servers");
  }
  const KeyPlan& plan = *options.plan;
  const bool whole = update_scope(options) != UpdateScope::elements;
  for (const KeyInfo& key : plan.keys()) {
    const TensorInfo& tensor = plan.tensors()[key.tensor];
    if (!is_here(options, key)) continue;
    if (tensor.accumulator != DType::f32 && tensor.accumulator != DType::f64)
      refuse_options("gradients of tensor '" + tensor.name + "' are " + std::string(name_of(tensor.accumulator)) +
                     "; they are added in f32 or f64");
    if (!whole) continue;
    const auto [first, last] = plan.keys_of(key.tensor);
    for (Key k = first; k < last; ++k) {
      if (plan.keys()[k].server != key.server || plan.keys()[k].loop != key.loop)
        refuse_options("the rule must see the whole of tensor '" + tensor.name +
                       "', but its keys lie on several servers or loops: KeyPlanOptions::scope");
    }
  }
  const std::uint64_t budget = credit_budget(options), needed = largest_credit_unit(options);
  if (budget != 0 && budget < needed)
    refuse_options(std::to_string(options.memory_bytes) + " bytes for payloads that wait are too few: " +
                   std::to_string(needed * (options.memory_bytes / budget)) +
                   " are needed (smaller partitions need fewer)");
}

}  // namespace trireme::ps
