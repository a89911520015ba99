// SPDX-License-Identifier: Apache-2.0
#include "parallel/whole_values_access.hpp"

#include "trireme/base/error.hpp"

#include <string>

namespace trireme::parallel {

std::size_t WholeValuesAccess::unit_of(std::size_t parameter) const {
  check_parameter("unit_of()", parameter);
  if (synchronizer_->unit_of(parameter) == no_unit) {
    fail(ErrorCode::invalid_argument,
         "unit_of(): '" + parameters_[parameter].name + "' is row-sparse, and belongs to no unit");
  }
  return synchronizer_->unit_of(parameter);
}

TensorView WholeValuesAccess::value(std::size_t parameter) {
  check_parameter("value()", parameter);
  return parameters_[parameter].value;
}

void WholeValuesAccess::check_unit(const char* call, std::size_t unit) const {
  if (unit < units()) return;
  fail(ErrorCode::invalid_argument,
       std::string(call) + ": there is no unit " + std::to_string(unit) + " among " + std::to_string(units()));
}

void WholeValuesAccess::check_parameter(const char* call, std::size_t parameter) const {
  if (parameter < parameters_.size()) return;
  fail(ErrorCode::invalid_argument, std::string(call) + ": there is no parameter " + std::to_string(parameter) +
                                        " among " + std::to_string(parameters_.size()));
}

}  // namespace trireme::parallel
