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

/// Calls use(p, its value) for every parameter in order, its unit being whole meanwhile. Collective.
void visit_whole_values(ParameterAccess& access, std::size_t parameters,
                        const std::function<void(std::size_t parameter, const TensorView& value)>& use);

/// models::weights_hash() of values that no rank has whole: two units at a time are. Collective.
std::string whole_values_hash(ParameterAccess& access, std::size_t parameters);

/// Values that no rank has whole, brought together on those ranks that keep them. Collective.
class CollectedValues {
 public:
  /// `keeps`: whether this rank does.
  void collect(ParameterAccess& access, std::span<const Parameter> parameters, bool keeps);
  /// Empty unless it did.
  const std::vector<Parameter>& parameters() const { return parameters_; }

 private:
  std::vector<std::vector<std::byte>> storage_;
  std::vector<Parameter> parameters_;
};

}  // namespace trireme::cli
