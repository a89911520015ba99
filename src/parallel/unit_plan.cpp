// SPDX-License-Identifier: Apache-2.0
#include "parallel/unit_plan.hpp"

#include "trireme/base/dtype.hpp"
#include "trireme/base/error.hpp"
#include "trireme/optim/parameter_group.hpp"

namespace trireme::parallel {
namespace {

/// Per parameter the first unit that has it.
std::vector<std::size_t> units_of(std::span<const Parameter> parameters,
                                  std::span<const std::vector<std::string>> units) {
  std::vector<std::size_t> unit_of(parameters.size(), no_unit);
  for (std::size_t u = 0; u < units.size(); ++u) {
    const ParameterGroup group{.name = "unit", .parameters = units[u]};
    bool found = false;
    for (std::size_t p = 0; p < parameters.size(); ++p) {
      if (unit_of[p] != no_unit || !group.has(parameters[p].name)) continue;
      unit_of[p] = u;
      found = true;
    }
    if (found) continue;
    std::string names;
    for (const std::string& name : units[u]) names += (names.empty() ? "'" : ", '") + name + "'";
    fail(ErrorCode::invalid_argument, "units: no parameter is left for unit " + std::to_string(u) + " {" + names +
                                          "}; a parameter belongs to the "
                                          "first unit that names it");
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

}  // namespace

UnitPlan plan_units(std::span<const Parameter> parameters, std::span<const std::vector<std::string>> units, Bytes first,
                    Bytes rest, std::span<const std::size_t> order) {
  UnitPlan plan;
  plan.unit_of = units_of(parameters, units);
  plan.units = units.size();
  plan.buckets = plan_buckets(parameters, first, rest, brought_together(parameters, order, plan.unit_of, units.size()),
                              plan.unit_of);
  for (const Bucket& bucket : plan.buckets.buckets) {
    if (plan.unit_of[bucket.parameters.front()] != no_unit) continue;
    for (const std::size_t p : bucket.parameters) plan.unit_of[p] = plan.units;
    ++plan.units;
  }
  return plan;
}

}  // namespace trireme::parallel
