// SPDX-License-Identifier: Apache-2.0
#include "cli/train/whole_values.hpp"

#include "trireme/models/weights_hash.hpp"

namespace trireme::cli {

void visit_whole_values(ParameterAccess& access, std::size_t parameters, const UseValue& use) {
  for (std::size_t p = 0; p < parameters;) {
    const std::size_t unit = access.unit_of(p);
    access.acquire(unit);
    for (; p < parameters && access.unit_of(p) == unit; ++p) use(p, access.value(p));
    access.release(unit);
  }
}

std::string whole_values_hash(const VisitValues& visit) {
  models::WeightsHash hash;
  visit([&](std::size_t, const TensorView& value) { hash.add(value); });
  return hash.text();
}

void CollectedValues::collect(const VisitValues& visit, std::span<const Parameter> parameters, bool keeps) {
  storage_.clear();
  parameters_.clear();
  if (keeps) {
    for (const Parameter& each : parameters) storage_.emplace_back(each.value.size_bytes());
    parameters_.assign(parameters.begin(), parameters.end());
  }
  visit([&](std::size_t p, const TensorView& value) {
    if (!keeps) return;
    const auto* const bytes = static_cast<const std::byte*>(value.data);
    storage_[p].assign(bytes, bytes + value.size_bytes());
    parameters_[p].value = {storage_[p].data(), value.count, value.dtype};
    parameters_[p].gradient = {};
  });
}

}  // namespace trireme::cli
