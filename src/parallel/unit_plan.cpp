// SPDX-License-Identifier: Apache-2.0
#include "parallel/unit_plan.hpp"

#include "trireme/base/dtype.hpp"
#include "trireme/base/error.hpp"
#include "trireme/optim/parameter_group.hpp"

#include <algorithm>
#include <functional>
#include <numeric>

namespace trireme::parallel {
namespace {

/// Per parameter the first unit that has it, if it is in a bucket.
std::vector<std::size_t> units_of(std::span<const Parameter> parameters,
                                  std::span<const std::vector<std::string>> units, std::span<const std::size_t> order) {
  std::vector<std::size_t> unit_of(parameters.size(), no_unit);
  std::vector<bool> in_bucket(parameters.size(), false);
  for (const std::size_t p : order) in_bucket[p] = true;
  for (std::size_t u = 0; u < units.size(); ++u) {
    const ParameterGroup group{.name = "unit", .parameters = units[u]};
    bool found = false, found_sparse = false;
    for (std::size_t p = 0; p < parameters.size(); ++p) {
      if (unit_of[p] != no_unit || !group.has(parameters[p].name)) continue;
      if (!in_bucket[p]) {
        found_sparse = true;
        continue;
      }
      unit_of[p] = u;
      found = true;
    }
    if (found) continue;
    std::string names;
    for (const std::string& name : units[u]) names += (names.empty() ? "'" : ", '") + name + "'";
    const std::string unit = "unit " + std::to_string(u) + " {" + names + "}";
    if (found_sparse) {
      fail(ErrorCode::invalid_argument,
           "units: " + unit +
               " has row-sparse parameters alone, which travel by rows and belong to no unit: leave it out");
    }
    fail(ErrorCode::invalid_argument,
         "units: no parameter is left for " + unit + "; a parameter belongs to the first unit that names it");
  }
  return unit_of;
}

/// Parameters of one unit stand where its last one does, by accumulator type: there it is complete, and what comes before it in `order` does
/// not wait for it.
std::vector<std::size_t> brought_together(std::span<const Parameter> parameters, std::span<const std::size_t> order,
                                          std::span<const std::size_t> unit_of, std::size_t units) {
  std::vector<std::vector<std::size_t>> members(units);
  for (const std::size_t p : order) {
    if (unit_of[p] != no_unit) members[unit_of[p]].push_back(p);
  }
  std::vector<std::size_t> together;
  for (const std::size_t p : order) {
    if (unit_of[p] == no_unit) {
      together.push_back(p);
      continue;
    }
    const auto& unit = members[unit_of[p]];
    if (p != unit.back()) continue;
    for (const DType dtype : {DType::f32, DType::f64}) {
      for (const std::size_t q : unit) {
        if (accumulator_of(parameters[q].gradient.dtype) == dtype) together.push_back(q);
      }
    }
  }
  return together;
}

/// Gradients become ready in `order`, and a bucket is under way from its first to its last one. Where another's lie all between, that
/// one comes and goes beside it.
void find_open(UnitPlan& plan, std::span<const std::size_t> order) {
  const std::size_t buckets = plan.buckets.buckets.size();
  std::vector<std::size_t> first(buckets, order.size()), last(buckets, 0);
  for (std::size_t at = 0; at < order.size(); ++at) {
    const std::size_t b = plan.buckets.places[order[at]].bucket;
    first[b] = std::min(first[b], at);
    last[b] = std::max(last[b], at);
  }
  std::vector<std::size_t> open_at(order.size());
  for (std::size_t b = 0; b < buckets; ++b) {
    bool is_open = false;
    for (std::size_t other = 0; other < buckets && !is_open; ++other)
      is_open = other != b && first[b] < first[other] && last[other] < last[b];
    if (!is_open) continue;
    plan.open.push_back(b);
    for (std::size_t at = first[b]; at <= last[b]; ++at) plan.most_open = std::max(plan.most_open, ++open_at[at]);
  }
}

}  // namespace

UnitPlan plan_units(std::span<const Parameter> parameters, std::span<const std::vector<std::string>> units, Bytes first,
                    Bytes rest, std::span<const std::size_t> order) {
  UnitPlan plan;
  plan.unit_of = units_of(parameters, units, order);
  plan.units = units.size();
  plan.buckets = plan_buckets(parameters, first, rest, brought_together(parameters, order, plan.unit_of, units.size()),
                              plan.unit_of);
  for (const Bucket& bucket : plan.buckets.buckets) {
    if (plan.unit_of[bucket.parameters.front()] != no_unit) continue;
    for (const std::size_t p : bucket.parameters) plan.unit_of[p] = plan.units;
    ++plan.units;
  }
  find_open(plan, order);
  return plan;
}

std::size_t most_bytes_under_way(const UnitPlan& plan) {
  std::vector<std::size_t> open, others;
  for (std::size_t b = 0; b < plan.buckets.buckets.size(); ++b) {
    const bool stays = std::find(plan.open.begin(), plan.open.end(), b) != plan.open.end();
    (stays ? open : others).push_back(plan.buckets.buckets[b].count * size_of(plan.buckets.buckets[b].dtype));
  }
  std::sort(open.begin(), open.end(), std::greater<>());
  others.insert(others.end(), open.begin() + static_cast<std::ptrdiff_t>(plan.most_open), open.end());
  std::sort(others.begin(), others.end(), std::greater<>());
  open.resize(plan.most_open);
  others.resize(std::min<std::size_t>(others.size(), 2));
  return std::accumulate(others.begin(), others.end(), std::accumulate(open.begin(), open.end(), std::size_t{0}));
}

}  // namespace trireme::parallel
