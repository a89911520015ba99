// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/parameter.hpp"
#include "trireme/base/parameter_access.hpp"

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace trireme::cli {

/// Who calls a function with every parameter of a model that no rank has whole, in order, its value being whole meanwhile.
using UseValue = std::function<void(std::size_t parameter, const TensorView& value)>;
using VisitValues = std::function<void(const UseValue& use)>;

/// Calls use(p, its value) for every parameter in order, its unit being whole meanwhile. Collective.
void visit_whole_values(ParameterAccess& access, std::size_t parameters, const UseValue& use);

/// models::weights_hash() of values that no rank has whole. Collective, as `visit` is.
std::string whole_values_hash(const VisitValues& visit);

/// Values that no rank has whole, brought together on those ranks that keep them. Collective.
class CollectedValues {
 public:
  /// `parameters`: their names and shapes. `keeps`: whether this rank does.
  void collect(const VisitValues& visit, std::span<const Parameter> parameters, bool keeps);
  /// Empty unless it did.
  const std::vector<Parameter>& parameters() const { return parameters_; }

 private:
  std::vector<std::vector<std::byte>> storage_;
  std::vector<Parameter> parameters_;
};

}  // namespace trireme::cli
